#pragma once
int martlet_recv_fds(int socket_fd, void *data, unsigned long data_size, int *fds, int fds_max, int *fds_count);
