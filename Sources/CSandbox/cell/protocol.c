#include "protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t *take(struct reader *r, size_t count) {
    if (r->bad || (size_t)(r->end - r->at) < count) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *at = r->at;
    r->at += count;
    return at;
}

uint32_t read_u32(struct reader *r) {
    const uint8_t *at = take(r, 4);
    if (at == NULL) return 0;
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint64_t read_u64(struct reader *r) {
    uint64_t low = read_u32(r);
    return low | (uint64_t)read_u32(r) << 32;
}

const char *read_string(struct reader *r) {
    size_t length = read_u32(r);
    if (length >= MAX_MESSAGE_BYTES) r->bad = true;
    const uint8_t *at = take(r, length + 1);
    if (at == NULL) return "";
    if (at[length] != 0 || memchr(at, 0, length) != NULL) {
        r->bad = true;
        return "";
    }
    return (const char *)at;
}

void write_begin(struct writer *w, enum report type) {
    w->count = 0;
    write_u32(w, PROTOCOL_VERSION | (uint32_t)type << 8);
}

void write_u32(struct writer *w, uint32_t value) {
    if (w->count + 4 > sizeof w->bytes) return;
    for (int i = 0; i < 4; i++) w->bytes[w->count++] = (uint8_t)(value >> (8 * i));
}

void write_string(struct writer *w, const char *text) {
    size_t length = strlen(text);
    size_t room = sizeof w->bytes - w->count;
    if (room < 5) return;
    if (length > room - 5) length = room - 5;
    write_u32(w, (uint32_t)length);
    memcpy(w->bytes + w->count, text, length);
    w->bytes[w->count + length] = 0;
    w->count += length + 1;
}

void report_send(const struct writer *w, const int *fds, int fd_count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * MAX_PASSED_FDS)];
    } control;
    struct iovec part = {.iov_base = (void *)w->bytes, .iov_len = w->count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count > 0) {
        size_t size = sizeof(int) * (size_t)fd_count;
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(header), fds, size);
    }
    while (sendmsg(CONTROL_FD, &message, MSG_NOSIGNAL) < 0 && errno == EINTR) continue;
}

void report_failed(const char *stage, int error, const char *text) {
    struct writer w;
    write_begin(&w, REPORT_FAILED);
    write_u32(&w, (uint32_t)error);
    write_string(&w, stage);
    write_string(&w, text);
    report_send(&w, NULL, 0);
}

long message_receive(uint8_t *buffer, size_t capacity, int *fds, int *fd_count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * MAX_PASSED_FDS)];
    } control;
    struct iovec part = {.iov_base = buffer, .iov_len = capacity};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t length;
    do {
        length = recvmsg(CONTROL_FD, &message, MSG_CMSG_CLOEXEC);
    } while (length < 0 && errno == EINTR);
    *fd_count = 0;
    if (length < 0) return -1;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h != NULL; h = CMSG_NXTHDR(&message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
            if (*fd_count < MAX_PASSED_FDS) fds[(*fd_count)++] = fd;
            else close(fd);
        }
    }
    if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        for (int i = 0; i < *fd_count; i++) close(fds[i]);
        *fd_count = 0;
        errno = EMSGSIZE;
        return -1;
    }
    return (long)length;
}

int message_begin(struct reader *r, const uint8_t *buffer, size_t length) {
    *r = (struct reader){.at = buffer, .end = buffer + length, .bad = false};
    uint32_t head = read_u32(r);
    if (r->bad || (head & 0xff) != PROTOCOL_VERSION) return -1;
    return (int)(head >> 8);
}
