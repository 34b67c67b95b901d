/*
 * The floor under a server of DoT and DoH over HTTP/2: a thread that decrypts by OpenSSL, as Node does, one read for what lies in a connection and one write
 * for all its replies. Over DoT every message is sent back with QR set; of HTTP/2 it understands as much as h2load needs, and answers every request alike.
 */
#define _GNU_SOURCE
#include "echo.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 0x10000, FRAME_HEADER = 9, PREFACE = 24, MAX_FDS = 1024, ANSWER = 80 };
enum { DATA = 0, HEADERS = 1, SETTINGS = 4, PING = 6, ACK = 1, END_STREAM = 1, END_HEADERS = 4 };

struct connection {
  SSL *tls;
  int is_http, has_preface;
  size_t in_bytes, out_bytes;
  unsigned char in[0x20000 + CHUNK];
  /* A request has nine bytes at the least, and its answer 100. */
  unsigned char out[16 * (0x20000 + CHUNK)];
};

static SSL_CTX *context;

static void put(struct connection *to, const void *bytes, size_t length) {
  memcpy(to->out + to->out_bytes, bytes, length);
  to->out_bytes += length;
}

static void put_frame(struct connection *to, size_t length, int type, int flags, const unsigned char *stream, const void *payload) {
  unsigned char header[FRAME_HEADER] = {(unsigned char)(length >> 16), (unsigned char)(length >> 8), (unsigned char)length, (unsigned char)type, (unsigned char)flags};
  memcpy(header + 5, stream, 4);
  put(to, header, sizeof header);
  put(to, payload, length);
}

static void answer_frame(struct connection *to, const unsigned char *frame, size_t length) {
  static const unsigned char answer[ANSWER], no_stream[4];
  /* :status 200 (RFC 7541, appendix A) */
  static const unsigned char head[] = {0x88};
  if (frame[3] == HEADERS) {
    put_frame(to, sizeof head, HEADERS, END_HEADERS, frame + 5, head);
    put_frame(to, sizeof answer, DATA, END_STREAM, frame + 5, answer);
  } else if (frame[3] == SETTINGS && (frame[4] & ACK) == 0) put_frame(to, 0, SETTINGS, ACK, no_stream, "");
  else if (frame[3] == PING && (frame[4] & ACK) == 0) put_frame(to, length, PING, ACK, no_stream, frame + FRAME_HEADER);
}

/* Returns how many bytes were whole. */
static size_t answer_http(struct connection *to) {
  size_t whole = 0;
  if (!to->has_preface) {
    if (to->in_bytes < PREFACE) return 0;
    to->has_preface = 1;
    whole = PREFACE;
    put_frame(to, 0, SETTINGS, 0, (const unsigned char *)"\0\0\0\0", "");
  }
  while (whole + FRAME_HEADER <= to->in_bytes) {
    const unsigned char *frame = to->in + whole;
    size_t length = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
    if (whole + FRAME_HEADER + length > to->in_bytes) break;
    answer_frame(to, frame, length);
    whole += FRAME_HEADER + length;
  }
  return whole;
}

static size_t answer_dns(struct connection *to) {
  size_t whole = 0;
  while (whole + 2 <= to->in_bytes) {
    size_t next = whole + 2 + ((size_t)to->in[whole] << 8 | to->in[whole + 1]);
    if (next > to->in_bytes) break;
    if (next >= whole + 5) to->in[whole + 4] |= 0x80;
    whole = next;
  }
  put(to, to->in, whole);
  return whole;
}

/* Returns 0 where the connection has ended. */
static int serve(struct connection *to) {
  to->out_bytes = 0;
  do {
    int got = SSL_read(to->tls, to->in + to->in_bytes, CHUNK);
    if (got <= 0 && SSL_get_error(to->tls, got) != SSL_ERROR_WANT_READ) return 0;
    if (got <= 0) break;
    to->in_bytes += (size_t)got;
    size_t whole = to->is_http ? answer_http(to) : answer_dns(to);
    to->in_bytes -= whole;
    memmove(to->in, to->in + whole, to->in_bytes);
  } while (SSL_has_pending(to->tls) && to->out_bytes < sizeof to->out / 2);
  return to->out_bytes == 0 || SSL_write(to->tls, to->out, (int)to->out_bytes) > 0;
}

static struct connection *open_connection(int fd) {
  int one = 1;
  struct connection *made = calloc(1, sizeof *made);
  if (made == NULL || fd >= MAX_FDS) return free(made), NULL;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  made->tls = SSL_new(context);
  SSL_set_fd(made->tls, fd);
  if (SSL_accept(made->tls) != 1) {
    SSL_free(made->tls);
    return free(made), NULL;
  }
  const unsigned char *protocol;
  unsigned length;
  SSL_get0_alpn_selected(made->tls, &protocol, &length);
  made->is_http = length == 2;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return made;
}

static void *serve_all(void *argument) {
  static struct connection *connections[MAX_FDS];
  int listener = *(int *)argument, queue = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[64];
  epoll_ctl(queue, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int ready = epoll_wait(queue, events, 64, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        if (serve(connections[fd])) continue;
        SSL_free(connections[fd]->tls);
        free(connections[fd]);
        close(fd);
        continue;
      }
      int made = accept(listener, NULL, NULL);
      if (made < 0) continue;
      if ((connections[made % MAX_FDS] = open_connection(made)) == NULL) {
        close(made);
        continue;
      }
      event = (struct epoll_event){.events = EPOLLIN, .data.fd = made};
      epoll_ctl(queue, EPOLL_CTL_ADD, made, &event);
      /* What came with the end of the handshake wakes nobody. Where it ends the connection, the next reading finds out. */
      if (SSL_has_pending(connections[made]->tls)) serve(connections[made]);
    }
  }
  return NULL;
}

static int choose_protocol(SSL *tls, const unsigned char **out, unsigned char *out_length, const unsigned char *in, unsigned in_length, void *argument) {
  (void)tls, (void)argument;
  static const unsigned char http[] = "\x02h2";
  int found = SSL_select_next_proto((unsigned char **)out, out_length, http, 3, in, in_length);
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

int start_tls(const char *certificate, const char *key) {
  static int listener;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  context = SSL_CTX_new(TLS_server_method());
  if (context == NULL || SSL_CTX_use_certificate_chain_file(context, certificate) != 1) fail("certificate");
  if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) fail("key");
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
  listener = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 128) < 0) fail("tls");
  if (getsockname(listener, (struct sockaddr *)&address, &size) < 0) fail("tls");
  pthread_t thread;
  if (pthread_create(&thread, NULL, serve_all, &listener) != 0) fail("thread");
  return ntohs(address.sin_port);
}
