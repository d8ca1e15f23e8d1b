#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cell.h"

void net_set_up(const struct spec *spec) {
    if (!has(spec, SPEC_NETWORK)) return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("bring up loopback", errno, "socket");
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) fail("bring up loopback", errno, "lo");
    close(fd);
}

void net_listen(const struct spec *spec, int *fds, uint32_t *ports) {
    for (uint32_t i = 0; i < spec->listener_count; i++) {
        const struct listener *wanted = &spec->listeners[i];
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)wanted->port)};
        if (wanted->port > 65535 || inet_pton(AF_INET, wanted->host, &address.sin_addr) != 1)
            fail("listen", EINVAL, "%s:%u is not an IPv4 address and port", wanted->host, wanted->port);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
        if (fd < 0) fail("listen", errno, "socket");
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        socklen_t size = sizeof address;
        if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, LISTEN_BACKLOG) != 0
            || getsockname(fd, (struct sockaddr *)&address, &size) != 0)
            fail("listen", errno, "%s:%u", wanted->host, wanted->port);
        fds[i] = fd;
        ports[i] = ntohs(address.sin_port);
    }
}
