// The control protocol between the server and martlet-cell: one SOCK_SEQPACKET message per command or report, integers
// little-endian, strings as a 32-bit length, the bytes and a NUL. The Swift side is Sources/Sandbox/ControlMessage.swift;
// both carry the version and refuse another one.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONTROL_FD = 3,               // where the server puts the control socket
    PROTOCOL_VERSION = 1,
    MAX_MESSAGE_BYTES = 131072,   // fits the kernel's default socket buffer (212,992) with its overhead
    MAX_PASSED_FDS = 8,
};

enum command {
    COMMAND_SPEC = 1,
    COMMAND_START = 2,
    COMMAND_SIGNAL = 3,
    COMMAND_KILL_ALL = 4,
    COMMAND_PREPARE = 5,  // before the spec, which then names no control groups
};

enum report {
    REPORT_READY = 1,         // u32 pid of init, u32 count, u32 port each; one descriptor per listener
    REPORT_FAILED = 2,        // u32 errno, stage, text: the cell could not be made
    REPORT_STARTED = 3,       // u32 id
    REPORT_START_FAILED = 4,  // u32 id, u32 errno, stage, text
    REPORT_EXITED = 5,        // u32 id, u32 kind (0 exited, 1 signaled), u32 status or signal number
    REPORT_ALL_KILLED = 6,
    REPORT_GONE = 7,          // text: init ended although nobody asked it to
    REPORT_PREPARED = 8,
};

// Reads the fields of one message in order. Any field out of bounds sets `bad` and answers zero or "".
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
};

uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
const char *read_string(struct reader *r);  // points into the message; no NUL inside

struct writer {
    uint8_t bytes[2048];  // reports are short; longer text is cut
    size_t count;
};

void write_begin(struct writer *w, enum report type);
void write_u32(struct writer *w, uint32_t value);
void write_string(struct writer *w, const char *text);

// Sends one report, with descriptors. Failure is not an error: it means that the server is gone, which the caller learns
// from the socket itself.
void report_send(const struct writer *w, const int *fds, int fd_count);
void report_failed(const char *stage, int error, const char *text);

// Receives one message into `buffer`; descriptors arrive close-on-exec. Answers the length, 0 at the end, -1 with errno.
long message_receive(uint8_t *buffer, size_t capacity, int *fds, int *fd_count);

// Checks the version and answers the type, or -1.
int message_begin(struct reader *r, const uint8_t *buffer, size_t length);
