// The few system calls of the Sandbox room that Swift cannot make: variadic, macro-made, or unsafe between fork and exec.
#pragma once

#include <stddef.h>
#include <sys/types.h>

// All answer 0 or a count on success and a negative errno on failure.

// A pair of SOCK_SEQPACKET sockets, close-on-exec.
int martlet_socket_pair(int fds[2]);

// A pipe, close-on-exec; fds[0], the read end, does not block.
int martlet_pipe(int fds[2]);

// Starts `path` with no arguments and no environment, `control` on descriptor 3, default signals.
int martlet_spawn(const char *path, int control, pid_t *pid);

// Sends one message with descriptors, without waiting (-EAGAIN when the socket is full).
long martlet_send(int socket, const void *bytes, size_t count, const int *fds, int fd_count);

// Receives one message without waiting (-EAGAIN when there is none). Descriptors arrive close-on-exec; those over
// `fds_max` are closed. 0 is the end. A message longer than `capacity` answers -EMSGSIZE and is dropped.
long martlet_receive(int socket, void *bytes, size_t capacity, int *fds, int fds_max, int *fd_count);

// Waits for `fd` to become readable (or to end); 1 when it did, 0 after `milliseconds`.
int martlet_await_readable(int fd, int milliseconds);

// Reaps the child `pid` once it has ended; -ETIMEDOUT when it has not within `milliseconds`.
int martlet_await_exit(pid_t pid, int milliseconds);
