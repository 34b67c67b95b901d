/** Bytes that are not of the format they were taken for, or contradict themselves; the message says what a person should know. */
export class MalformedFile extends Error {}
