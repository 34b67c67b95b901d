// In place of the thread of UDP: ends before it has done anything.
