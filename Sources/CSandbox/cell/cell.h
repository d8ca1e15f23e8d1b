// What one cell is made of, and who does what:
//   main.c     receives the spec, clones init into its namespaces, attaches it to its control groups, then only watches:
//              the server gone means the cell killed, init gone means the server told.
//   mounts.c   the tree that the cell sees.
//   net.c      loopback and the listeners handed to the server.
//   init.c     pid 1 of the cell: starts processes on command, reaps, kills.
//   process.c  what a started process gives up before execve.
//   seccomp.c  the system calls that it may make.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "protocol.h"

enum {
    MAX_LISTENERS = MAX_PASSED_FDS,
    MAX_BINDS = 128,
    MAX_LINKS = 64,
    MAX_GROUPS = 16,
    MAX_PROCESSES = 64,
    MAX_ARGUMENTS = 512,
    MAX_VARIABLES = 4096,
    LISTEN_BACKLOG = 128,
};

enum spec_flags {
    SPEC_NAMESPACES = 1,    // mount, pid, ipc and uts; without it nothing below applies
    SPEC_NETWORK = 2,       // an own network namespace
    SPEC_USER = 4,          // an own user namespace: the server is not root
};

enum bind_flags { BIND_READ_ONLY = 1, BIND_OPTIONAL = 2 };

struct listener {
    const char *host;
    uint32_t port;
};

struct bind {
    uint32_t flags;
    const char *source;
    const char *target;
};

struct link {
    const char *text;
    const char *target;
};

// Strings point into the spec's message, which stays in memory.
struct spec {
    uint32_t flags;
    uint32_t uid;  // inside the cell
    uint32_t gid;
    uint64_t tmp_bytes;
    uint32_t processes;   // RLIMIT_NPROC; 0 leaves it
    uint32_t open_files;  // RLIMIT_NOFILE; 0 leaves it
    const char *hostname;
    struct listener listeners[MAX_LISTENERS];
    uint32_t listener_count;
    struct bind binds[MAX_BINDS];
    uint32_t bind_count;
    struct link links[MAX_LINKS];
    uint32_t link_count;
    const char *groups[MAX_GROUPS];  // control group directories, removed at the end
    uint32_t group_count;
    const char *thaw_file;  // "" when there is no freezer
    const char *thaw_text;
};

static inline bool has(const struct spec *spec, enum spec_flags flag) { return (spec->flags & flag) != 0; }

// Reports {stage, errno, text} to the server and ends this process.
_Noreturn void fail(const char *stage, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

void mounts_set_up(const struct spec *spec);
void net_set_up(const struct spec *spec);
// Fills `fds` and `ports` with spec->listener_count listening sockets.
void net_listen(const struct spec *spec, int *fds, uint32_t *ports);

_Noreturn void init_main(const struct spec *spec, int go_fd);

// Capabilities that init keeps, as a bit mask; everything else is dropped, from the bounding set too.
void init_drop_capabilities(const struct spec *spec);

struct process_start {
    uint32_t id;
    const char *cwd;
    char **argv;
    char **envp;
    int stdin_fd;
    int stdout_fd;
    int stderr_fd;
    int error_fd;  // receives struct exec_failure; closed by a successful execve
};

struct exec_failure {
    int error;
    char stage[48];
};

_Noreturn void process_main(const struct spec *spec, const struct process_start *start);

// Builds the filter once; every process started later installs the same one.
void seccomp_build(void);
int seccomp_install(void);

// SIGKILL to every child of this process; children of the killed become its own when it is their subreaper.
void kill_children(void);
