// The tree that the cell sees: a small tmpfs, read-only at the end, with the spec's binds, a fresh /proc, a few devices
// and an own /tmp. Everything is made relative to the new root before pivot_root; the sources are opened before anything
// is covered, so that a source under the staging directory is still found.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cell.h"

// The calls of Linux 5.2 and 5.12 by number, because C libraries learned them late.
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x04
#define MOVE_MOUNT_T_EMPTY_PATH 0x40
#endif
#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 0x01
#define MOUNT_ATTR_NOSUID 0x02
#define MOUNT_ATTR_NODEV 0x04
#define MOUNT_ATTR_NOEXEC 0x08
#endif
enum { CALL_OPEN_TREE = 428, CALL_MOVE_MOUNT = 429, CALL_OPENAT2 = 437, CALL_MOUNT_SETATTR = 442 };

struct mount_attributes {
    uint64_t set, clear, propagation, user_ns;
};

// A detached copy of the mount at `path`, with everything mounted below it.
static int detached_copy(const char *path, uint64_t attributes, const char *stage) {
    int fd = (int)syscall(CALL_OPEN_TREE, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE);
    if (fd < 0) {
        if (errno == ENOSYS) fail(stage, ENOSYS, "cells need Linux 5.12 or newer (open_tree)");
        return -1;
    }
    struct mount_attributes wanted = {.set = attributes};
    if (attributes != 0
        && syscall(CALL_MOUNT_SETATTR, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &wanted, sizeof wanted) != 0)
        fail(stage, errno, "%s: mount_setattr%s", path, errno == ENOSYS ? " (cells need Linux 5.12 or newer)" : "");
    return fd;
}

static void attach_mount(int mount_fd, const char *target, const char *stage) {
    // Nothing in the new root may lead the mount elsewhere, whatever links a package of code holds.
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    int at = (int)syscall(CALL_OPENAT2, AT_FDCWD, target, &how, sizeof how);
    if (at < 0) fail(stage, errno, "open the mount point /%s", target);
    if (syscall(CALL_MOVE_MOUNT, mount_fd, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        fail(stage, errno, "mount at /%s", target);
    close(at);
    close(mount_fd);
}

// Creates the directories above `target` (relative to the new root) and, as `mode` says, the directory or file itself.
static void make_point(const char *target, bool directory, const char *stage) {
    char path[4096];
    size_t length = strlen(target);
    if (length == 0 || length >= sizeof path || target[0] == '/') fail(stage, EINVAL, "bad target /%s", target);
    memcpy(path, target, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != 0) continue;
        bool last = path[i] == 0;
        path[i] = 0;
        if (last && !directory) {
            int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
            if (fd >= 0) close(fd);
            else if (errno != EEXIST) fail(stage, errno, "create /%s", path);
            return;
        }
        struct stat status;
        if (mkdir(path, 0755) != 0 && (errno != EEXIST || lstat(path, &status) != 0 || !S_ISDIR(status.st_mode)))
            fail(stage, errno == EEXIST ? ENOTDIR : errno, "create /%s", path);
        path[i] = last ? 0 : '/';
    }
}

static void write_text(const char *path, const char *text) {
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) fail("write /etc", errno, "/%s", path);
    close(fd);
}

static void make_etc(const struct spec *spec) {
    char text[1024];
    mkdir("etc", 0755);
    // The user's name is the one that AWS's environments show.
    snprintf(text, sizeof text,
             "root:x:0:0:root:/root:/sbin/nologin\nsbx_user1051:x:%u:%u::/home/sbx_user1051:/sbin/nologin\n",
             spec->uid, spec->gid);
    write_text("etc/passwd", text);
    snprintf(text, sizeof text, "root:x:0:\nsbx_user1051:x:%u:\n", spec->gid);
    write_text("etc/group", text);
    // The last two are the host of WriteGetObjectResponse, which SDKs make of the endpoint (S3's `OutputRoute`).
    snprintf(text, sizeof text,
             "127.0.0.1 localhost sandbox.localdomain sandbox %s io-martlet-001.127.0.0.1 io-martlet-001.localhost\n",
             spec->hostname);
    write_text("etc/hosts", text);
    bool alone = has(spec, SPEC_NETWORK);
    // Names fail at once where nothing can answer.
    snprintf(text, sizeof text, "passwd: files\ngroup: files\nhosts: files%s\n", alone ? "" : " dns");
    write_text("etc/nsswitch.conf", text);
    write_text("etc/resolv.conf", alone ? "nameserver 127.0.0.1\noptions attempts:1 timeout:1\n" : "");
    write_text("etc/host.conf", "multi on\n");
}

static void make_devices(void) {
    static const struct {
        const char *name;
        unsigned minor;
    } devices[] = {{"dev/null", 3}, {"dev/zero", 5}, {"dev/full", 7}, {"dev/random", 8}, {"dev/urandom", 9}};
    mkdir("dev", 0755);
    mode_t mask = umask(0);
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (mknod(devices[i].name, S_IFCHR | 0666, makedev(1, devices[i].minor)) == 0) continue;
        // Without the privilege (a user namespace, a container): the host's own.
        char source[64];
        snprintf(source, sizeof source, "/%s", devices[i].name);
        int fd = detached_copy(source, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "devices");
        if (fd < 0) fail("devices", errno, "%s", source);
        make_point(devices[i].name, false, "devices");
        attach_mount(fd, devices[i].name, "devices");
    }
    umask(mask);
    // No /dev/shm: AWS's environments have none, and code that depends on one must fail here too.
    if (symlink("/proc/self/fd", "dev/fd") != 0 || symlink("/proc/self/fd/0", "dev/stdin") != 0
        || symlink("/proc/self/fd/1", "dev/stdout") != 0 || symlink("/proc/self/fd/2", "dev/stderr") != 0)
        fail("devices", errno, "links in /dev");
}

static void cover(const char *source, const char *target, uint64_t attributes) {
    struct stat status;
    if (lstat(target, &status) != 0) return;  // this kernel has no such file
    int fd = detached_copy(source, attributes, "mask /proc");
    if (fd < 0) fail("mask /proc", errno, "%s", target);
    attach_mount(fd, target, "mask /proc");
}

static void make_proc(void) {
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    mkdir("proc", 0555);
    if (mount("proc", "proc", "proc", flags, "hidepid=2") != 0 && mount("proc", "proc", "proc", flags, NULL) != 0)
        fail("mount /proc", errno,
             "an outer container hides parts of /proc; run it with unmasked paths (Docker: --security-opt "
             "systempaths=unconfined)");
    // What runc hides (files by an empty one, directories by an empty one) and what it makes read-only.
    static const char *const files[] = {"proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug",
                                        "proc/timer_list", "proc/timer_stats"};
    static const char *const directories[] = {"proc/acpi", "proc/asound", "proc/scsi", "proc/bus", "proc/irq"};
    static const char *const kept[] = {"proc/fs", "proc/sys", "proc/sysrq-trigger"};
    const uint64_t quiet = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) cover("etc/.empty", files[i], quiet);
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) cover("home", directories[i], quiet);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) cover(kept[i], kept[i], quiet);
}

static const char *staging_directory(void) {
    static const char *const candidates[] = {"/tmp", "/mnt", "/var/tmp", "/proc"};
    struct stat status;
    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++)
        if (stat(candidates[i], &status) == 0 && S_ISDIR(status.st_mode)) return candidates[i];
    fail("mount the root", ENOENT, "none of /tmp, /mnt, /var/tmp and /proc is a directory");
}

static void make_binds(const struct spec *spec, const int *sources, const bool *directories) {
    char stage[160];
    for (uint32_t i = 0; i < spec->bind_count; i++) {
        if (sources[i] < 0) continue;
        const char *target = spec->binds[i].target;
        snprintf(stage, sizeof stage, "bind %.60s at %.60s", spec->binds[i].source, target);
        while (*target == '/') target++;
        make_point(target, directories[i], stage);
        attach_mount(sources[i], target, stage);
    }
    for (uint32_t i = 0; i < spec->link_count; i++) {
        const char *target = spec->links[i].target;
        while (*target == '/') target++;
        snprintf(stage, sizeof stage, "link %.100s", spec->links[i].target);
        char parent[4096];
        snprintf(parent, sizeof parent, "%s", target);
        char *slash = strrchr(parent, '/');
        if (slash != NULL) {
            *slash = 0;
            make_point(parent, true, stage);
        }
        if (symlink(spec->links[i].text, target) != 0) fail(stage, errno, "to %s", spec->links[i].text);
    }
}

static void open_sources(const struct spec *spec, int *sources, bool *directories) {
    for (uint32_t i = 0; i < spec->bind_count; i++) {
        const struct bind *bind = &spec->binds[i];
        char stage[160];
        snprintf(stage, sizeof stage, "bind %.60s at %.60s", bind->source, bind->target);
        uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
        if (bind->flags & BIND_READ_ONLY) attributes |= MOUNT_ATTR_RDONLY;
        sources[i] = detached_copy(bind->source, attributes, stage);
        struct stat status;
        if (sources[i] < 0) {
            if ((bind->flags & BIND_OPTIONAL) && errno == ENOENT) continue;
            fail(stage, errno, "the source %s cannot be opened", bind->source);
        }
        if (fstatat(sources[i], "", &status, AT_EMPTY_PATH) != 0) fail(stage, errno, "%s", bind->source);
        directories[i] = S_ISDIR(status.st_mode);
    }
}

void mounts_set_up(const struct spec *spec) {
    static int sources[MAX_BINDS];
    static bool directories[MAX_BINDS];
    if (sethostname(spec->hostname, strlen(spec->hostname)) != 0) fail("set the hostname", errno, "%s", spec->hostname);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail("make mounts private", errno, "/");
    open_sources(spec, sources, directories);

    const char *staging = staging_directory();
    static const char options_of_root[] = "mode=0755,size=1m,nr_inodes=2048";
    if (mount("cell", staging, "tmpfs", MS_NOSUID | MS_NOEXEC, options_of_root) != 0 || chdir(staging) != 0)
        fail("mount the root", errno, "tmpfs at %s", staging);
    static const char *const empty[] = {"tmp", "home", "opt", "root", "run", "var", "var/task", "var/runtime"};
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
        if (mkdir(empty[i], 0755) != 0) fail("mount the root", errno, "create /%s", empty[i]);
    make_etc(spec);
    int fd = open("etc/.empty", O_CREAT | O_WRONLY | O_CLOEXEC, 0444);
    if (fd >= 0) close(fd);
    make_devices();
    make_proc();
    // Without a number of its own, files cost the host's memory up to half of what it has: one file for each page.
    unsigned long long bytes = spec->tmp_bytes;
    char options[96];
    snprintf(options, sizeof options, "mode=1777,size=%llu,nr_inodes=%llu", bytes, bytes / 4096 + 64);
    if (mount("tmp", "tmp", "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) fail("mount /tmp", errno, "%s", options);
    make_binds(spec, sources, directories);

    if (syscall(SYS_pivot_root, ".", ".") != 0) fail("pivot_root", errno, "%s", staging);
    if (umount2(".", MNT_DETACH) != 0) fail("detach the old root", errno, "umount2");
    if (chdir("/") != 0) fail("chdir", errno, "/");
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC, NULL) != 0)
        fail("make the root read-only", errno, "remount");
}
