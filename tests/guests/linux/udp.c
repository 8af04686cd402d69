// SPDX-License-Identifier: GPL-2.0
/*
 * Datagrams of all sizes between two guests: "udp serve COUNT" sends each back, "udp ask
 * ADDRESS COUNT" sends one after the other and again if no answer comes. Status 0 if all
 * came back as they were.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PORT		6000
#define MAX_BYTES	1400u

static uint8_t sent[MAX_BYTES], got[MAX_BYTES];

static int open_socket(long timeout_us)
{
	struct timeval timeout = { timeout_us / 1000000, timeout_us % 1000000 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout))) {
		perror("udp");
		exit(1);
	}
	return fd;
}

/* The last answer may have been lost: so it answers until nobody asks any more. */
static int serve(uint32_t count)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(PORT) }, peer;
	int fd = open_socket(2000000);
	uint32_t last = 0, number;
	socklen_t len;
	ssize_t n = 0;

	if (bind(fd, (struct sockaddr *)&here, sizeof(here))) {
		perror("udp");
		return 1;
	}
	while (last < count || n > 0) {
		len = sizeof(peer);
		n = recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&peer, &len);
		if (n < (ssize_t)sizeof(number))
			continue;
		memcpy(&number, got, sizeof(number));
		if (number > last)
			last = number;
		sendto(fd, got, n, 0, (struct sockaddr *)&peer, len);
	}
	return 0;
}

static int ask_one(int fd, const struct sockaddr_in *peer, uint32_t number)
{
	size_t len = sizeof(number) + number * 37 % (MAX_BYTES - sizeof(number)), i;
	int tries;

	memcpy(sent, &number, sizeof(number));
	for (i = sizeof(number); i < len; i++)
		sent[i] = i * number;
	for (tries = 0; tries < 50; tries++) {
		sendto(fd, sent, len, 0, (const struct sockaddr *)peer, sizeof(*peer));
		/* one that was sent twice is answered twice */
		while (recv(fd, got, sizeof(got), 0) == (ssize_t)len)
			if (!memcmp(got, sent, len))
				return 0;
	}
	return 1;
}

static int ask(const char *address, uint32_t count)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = open_socket(300000);
	uint32_t i;

	if (inet_pton(AF_INET, address, &peer.sin_addr) != 1)
		return 1;
	for (i = 1; i <= count; i++)
		if (ask_one(fd, &peer, i))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(strtoul(argv[2], NULL, 0));
	if (argc == 4 && !strcmp(argv[1], "ask"))
		return ask(argv[2], strtoul(argv[3], NULL, 0));
	return 2;
}
