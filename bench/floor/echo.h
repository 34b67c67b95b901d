/* Ends the program, and says what could not be done. */
void fail(const char *what);

/* Serves DoT and DoH over HTTP/2 by a thread of its own. Returns the port. */
int start_tls(const char *certificate, const char *key);
