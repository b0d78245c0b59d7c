/* The least that a signaling server can do, on one core: WebSocket upgrade, frames, routing by a fixed header.
 *
 *     reference_server PORT
 *
 * A client asks for GET /NUMBER and is that number from then on. Each binary frame begins with the number of its
 * receiver, four bytes, big endian, and goes there as it is. Nobody is authenticated, nothing is queued for those
 * who are not there, acknowledged or checked beyond what memory safety takes. "ready\n" is printed when it listens.
 *
 * It is what the other servers of the benchmark are compared with: one recv for what a connection has said, one send
 * for each frame, level-triggered epoll, no copy but the one that unmasks.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FDS = 20000, MAX_CLIENTS = 65536, READ_BYTES = 131072, MAX_PAYLOAD = 66000, EVENTS = 512, TEXT = 1, BINARY = 2,
       CLOSE = 8, PING = 9, PONG = 10 };

struct client {
    uint8_t *pending; /* the beginning of a frame or of a request that is not complete */
    uint32_t pending_length;
    uint8_t *unsent;
    uint32_t unsent_length;
    uint32_t number;
    uint8_t upgraded;
};

static struct client clients[MAX_FDS];
static int fd_of_number[MAX_CLIENTS];
static uint8_t incoming[READ_BYTES + MAX_PAYLOAD];
static int poller;

static uint32_t rotate(uint32_t value, int bits) { return value << bits | value >> (32 - bits); }

/* SHA-1 (RFC 3174) of a message of at most 119 bytes: the key of a client and the GUID are 60. */
static void sha1(const char *text, size_t length, uint8_t digest[20])
{
    uint8_t message[128] = {0};
    size_t padded = length < 56 ? 64 : 128;
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    memcpy(message, text, length);
    message[length] = 0x80;
    message[padded - 2] = (uint8_t)(length * 8 >> 8);
    message[padded - 1] = (uint8_t)(length * 8);
    for (size_t block = 0; block < padded; block += 64) {
        uint32_t words[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
        for (int i = 0; i < 16; i++) {
            const uint8_t *at = message + block + 4 * i;
            words[i] = (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
        }
        for (int i = 16; i < 80; i++)
            words[i] = rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
        for (int i = 0; i < 80; i++) {
            uint32_t mixed = i < 20   ? ((b & c) | (~b & d)) + 0x5A827999
                             : i < 40 ? (b ^ c ^ d) + 0x6ED9EBA1
                             : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8F1BBCDC
                                      : (b ^ c ^ d) + 0xCA62C1D6;
            mixed += rotate(a, 5) + e + words[i];
            e = d, d = c, c = rotate(b, 30), b = a, a = mixed;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64_of_digest(const uint8_t digest[20], char text[29])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; i < 7; i++) {
        const uint8_t *at = digest + 3 * i;
        uint32_t bits = (uint32_t)at[0] << 16 | at[1] << 8 | (i < 6 ? at[2] : 0);
        for (int j = 0; j < 4; j++)
            text[4 * i + j] = letters[bits >> (18 - 6 * j) & 63];
    }
    text[27] = '=';
    text[28] = 0;
}

static void watch(int fd, uint32_t events, int operation)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(poller, operation, fd, &event);
}

static void drop(int fd)
{
    struct client *here = &clients[fd];
    if (here->upgraded && fd_of_number[here->number] == fd)
        fd_of_number[here->number] = -1;
    free(here->pending);
    free(here->unsent);
    memset(here, 0, sizeof *here);
    close(fd);
}

static void put_aside(uint8_t **buffer, uint32_t *length, const uint8_t *bytes, uint32_t more)
{
    uint8_t *grown = realloc(*buffer, *length + more);
    if (!grown)
        exit(1);
    memcpy(grown + *length, bytes, more);
    *buffer = grown;
    *length += more;
}

static void say(int fd, const uint8_t *bytes, uint32_t length)
{
    struct client *there = &clients[fd];
    ssize_t sent = there->unsent_length ? 0 : send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        return; /* its own turn drops it */
    if (sent < 0)
        sent = 0;
    if ((uint32_t)sent < length) {
        if (!there->unsent_length)
            watch(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        put_aside(&there->unsent, &there->unsent_length, bytes + sent, length - (uint32_t)sent);
    }
}

static void say_more(int fd)
{
    struct client *there = &clients[fd];
    ssize_t sent = send(fd, there->unsent, there->unsent_length, MSG_NOSIGNAL);
    if (sent <= 0)
        return;
    there->unsent_length -= (uint32_t)sent;
    memmove(there->unsent, there->unsent + sent, there->unsent_length);
    if (!there->unsent_length) {
        free(there->unsent);
        there->unsent = NULL;
        watch(fd, EPOLLIN, EPOLL_CTL_MOD);
    }
}

/* Answer a request for an upgrade; returns how many bytes it had, 0 when it is not complete, -1 when it is none. */
static int upgrade(int fd, uint8_t *bytes, uint32_t length)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    struct client *here = &clients[fd];
    char keyed[24 + sizeof guid], accept[29], answer[256];
    uint8_t digest[20], *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end)
        return length > 8192 ? -1 : 0;
    *end = 0;
    char *key = strcasestr((char *)bytes, "\r\nSec-WebSocket-Key: ");
    if (strncmp((char *)bytes, "GET /", 5) || !key || strlen(key + 21) < 24)
        return -1;
    here->number = (uint32_t)strtoul((char *)bytes + 5, NULL, 10);
    if (here->number >= MAX_CLIENTS)
        return -1;
    memcpy(keyed, key + 21, 24);
    memcpy(keyed + 24, guid, sizeof guid);
    sha1(keyed, sizeof keyed - 1, digest);
    base64_of_digest(digest, accept);
    int written = snprintf(answer, sizeof answer,
                           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
    say(fd, (uint8_t *)answer, (uint32_t)written);
    fd_of_number[here->number] = fd;
    here->upgraded = 1;
    return (int)(end + 4 - bytes);
}

/* Write the header of an unmasked frame in front of its payload; returns where it begins. */
static uint8_t *lead(uint8_t *payload, uint32_t length, uint8_t opcode)
{
    uint8_t *header = payload - (length < 126 ? 2 : 4);
    header[0] = 0x80 | opcode;
    if (length < 126) {
        header[1] = (uint8_t)length;
    } else {
        header[1] = 126;
        header[2] = (uint8_t)(length >> 8);
        header[3] = (uint8_t)length;
    }
    return header;
}

/* Take one frame; returns how many bytes it had, 0 when it is not complete, -1 when it ends the connection. */
static int take_frame(int fd, uint8_t *bytes, uint32_t length)
{
    if (length < 6)
        return 0;
    uint32_t size = bytes[1] & 127, head = 2;
    if (!(bytes[1] & 128) || size == 127)
        return -1;
    if (size == 126) {
        if (length < 8)
            return 0;
        size = (uint32_t)bytes[2] << 8 | bytes[3];
        head = 4;
    }
    if (length < head + 4 + size)
        return 0;
    uint8_t *payload = bytes + head + 4, opcode = bytes[0] & 15;
    uint64_t mask = 0;
    memcpy(&mask, bytes + head, 4);
    mask |= mask << 32;
    uint32_t at = 0;
    for (; at + 8 <= size; at += 8) {
        uint64_t word;
        memcpy(&word, payload + at, 8);
        word ^= mask;
        memcpy(payload + at, &word, 8);
    }
    for (; at < size; at++)
        payload[at] ^= (uint8_t)(mask >> (8 * (at & 7)));
    if (opcode == PING) {
        uint8_t *frame = lead(payload, size, PONG);
        say(fd, frame, (uint32_t)(payload + size - frame));
    } else if (opcode == TEXT || opcode == BINARY) {
        if (size < 4)
            return -1;
        uint32_t to = (uint32_t)payload[0] << 24 | payload[1] << 16 | payload[2] << 8 | payload[3];
        if (to < MAX_CLIENTS && fd_of_number[to] >= 0) {
            uint8_t *frame = lead(payload, size, opcode);
            say(fd_of_number[to], frame, (uint32_t)(payload + size - frame));
        }
    } else if (opcode == CLOSE) {
        return -1;
    }
    return (int)(head + 4 + size);
}

static void hear(int fd)
{
    struct client *here = &clients[fd];
    uint32_t length = here->pending_length, done = 0;
    if (length > MAX_PAYLOAD) {
        drop(fd);
        return;
    }
    if (length) {
        memcpy(incoming, here->pending, length);
        free(here->pending);
        here->pending = NULL;
        here->pending_length = 0;
    }
    ssize_t got = recv(fd, incoming + length, READ_BYTES, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            drop(fd);
        else if (length)
            put_aside(&here->pending, &here->pending_length, incoming, length);
        return;
    }
    length += (uint32_t)got;
    while (done < length) {
        int taken = here->upgraded ? take_frame(fd, incoming + done, length - done)
                                   : upgrade(fd, incoming + done, length - done);
        if (taken < 0) {
            drop(fd);
            return;
        }
        if (taken == 0)
            break;
        done += (uint32_t)taken;
    }
    if (done < length)
        put_aside(&here->pending, &here->pending_length, incoming + done, length - done);
}

static void welcome(int listener)
{
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
}

int main(int count, char **arguments)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct rlimit files;
    if (count != 2)
        return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    memset(fd_of_number, -1, sizeof fd_of_number);
    at.sin_port = htons((uint16_t)atoi(arguments[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                welcome(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT)
                say_more(fd);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                hear(fd);
        }
    }
}
