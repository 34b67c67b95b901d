/*
 * The floor under a DNS server on Linux: sends every message back with QR set, by the system calls that Fenliu makes and with nothing between them. UDP in
 * batches (recvmmsg, sendmmsg), TCP by epoll with one read and one write for what lies there, as libuv does. Says its ports, then echoes until it is stopped.
 */
#define _GNU_SOURCE
#include "echo.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* As `BATCH` of src/listen/udp-ring.ts. */
enum { MESSAGES = 64, BYTES_EACH = 0x10000, CHUNK = 0x10000, MAX_FDS = 1024 };

void fail(const char *what) {
  perror(what);
  exit(1);
}

static void echo_udp(int fd) {
  static struct mmsghdr in[MESSAGES], out[MESSAGES];
  static struct iovec in_vectors[MESSAGES], out_vectors[MESSAGES];
  static struct sockaddr_in names[MESSAGES];
  char *bytes = malloc((size_t)MESSAGES * BYTES_EACH);
  if (bytes == NULL) fail("malloc");
  for (int i = 0; i < MESSAGES; i++) {
    in_vectors[i] = (struct iovec){bytes + (size_t)i * BYTES_EACH, BYTES_EACH};
    out_vectors[i].iov_base = in_vectors[i].iov_base;
    in[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_iov = &in_vectors[i], .msg_iovlen = 1};
    out[i].msg_hdr = (struct msghdr){.msg_name = &names[i], .msg_namelen = sizeof names[i], .msg_iov = &out_vectors[i], .msg_iovlen = 1};
  }
  for (;;) {
    for (int i = 0; i < MESSAGES; i++) in[i].msg_hdr.msg_namelen = sizeof names[i];
    int received = recvmmsg(fd, in, MESSAGES, MSG_WAITFORONE, NULL);
    for (int i = 0; i < received; i++) {
      ((char *)in_vectors[i].iov_base)[2] |= (char)0x80;
      out_vectors[i].iov_len = in[i].msg_len;
    }
    for (int sent = 0; sent < received;) {
      int taken = sendmmsg(fd, out + sent, (unsigned)(received - sent), MSG_DONTWAIT);
      sent += taken > 0 ? taken : 1;
    }
  }
}

/* What of a connection is not yet a whole message. */
struct rest {
  size_t bytes;
  unsigned char data[2 + 0xffff + CHUNK];
};

/* Returns 0 where the connection has ended. */
static int echo_stream(int fd, struct rest *rest) {
  ssize_t got = read(fd, rest->data + rest->bytes, CHUNK);
  if (got <= 0) return 0;
  rest->bytes += (size_t)got;
  size_t whole = 0;
  while (whole + 2 <= rest->bytes) {
    size_t next = whole + 2 + ((size_t)rest->data[whole] << 8 | rest->data[whole + 1]);
    if (next > rest->bytes) break;
    if (next >= whole + 5) rest->data[whole + 4] |= 0x80;
    whole = next;
  }
  for (size_t sent = 0; sent < whole;) {
    ssize_t taken = write(fd, rest->data + sent, whole - sent);
    if (taken <= 0) return 0;
    sent += (size_t)taken;
  }
  rest->bytes -= whole;
  memmove(rest->data, rest->data + whole, rest->bytes);
  return 1;
}

static void *echo_tcp(void *argument) {
  static struct rest *rests[MAX_FDS];
  int listener = *(int *)argument, one = 1, queue = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
  epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(queue, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        if (echo_stream(fd, rests[fd])) continue;
        close(fd);
        free(rests[fd]);
        continue;
      }
      int made = accept(listener, NULL, NULL);
      if (made < 0) continue;
      if (made >= MAX_FDS || (rests[made] = calloc(1, sizeof(struct rest))) == NULL) {
        close(made);
        continue;
      }
      setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      event = (struct epoll_event){.events = EPOLLIN, .data.fd = made};
      epoll_ctl(queue, EPOLL_CTL_ADD, made, &event);
    }
  }
  return NULL;
}

int main(int count, char **arguments) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0), buffer = 1 << 20;
  setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  if (bind(udp, (struct sockaddr *)&address, size) < 0 || getsockname(udp, (struct sockaddr *)&address, &size) < 0) fail("udp");
  if (bind(tcp, (struct sockaddr *)&address, size) < 0 || listen(tcp, 128) < 0) fail("tcp");
  pthread_t thread;
  if (pthread_create(&thread, NULL, echo_tcp, &tcp) != 0) fail("thread");
  /* A client that is gone ends its connection alone. */
  signal(SIGPIPE, SIG_IGN);
  if (count != 3) fail("echo CERTIFICATE KEY");
  printf("tls %d, port %d\n", start_tls(arguments[1], arguments[2]), ntohs(address.sin_port));
  fflush(stdout);
  echo_udp(udp);
}
