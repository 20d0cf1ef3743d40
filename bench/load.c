/* A load generator that is not the bottleneck: one thread, epoll, HTTP/1.1 keep-alive, one POST over and over.
 *
 *     load PORT PATH BODY_FILE CONNECTIONS SECONDS RATE WARM_UP_SECONDS [HEADER]...
 *
 * RATE 0 is the closed loop: every connection asks again as soon as it has its answer. Any other RATE is the open loop: that
 * many requests a second are due whether or not the answers keep up, and a latency counts from when its request was due.
 * Prints one line of JSON: what fell into the measured seconds (times in microseconds), and under "all_" what was done in the
 * whole run, which is what the CPU time of the whole run is to be divided by. An event is an empty line in a body.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 512, MAX_HEAD = 65536, MAX_READ = 262144 };
static const int64_t SECOND_NS = 1000000000LL;
static const uint32_t TIMER = UINT32_MAX; /* stands for the timer where a connection's number would be */

typedef enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, LAST_LINE } ChunkState;

typedef struct {
    int fd, is_busy;
    int64_t due_ns, first_byte_ns;
    char head[MAX_HEAD];
    int head_length, is_in_body, status, closes_after, is_chunked;
    int64_t body_left; /* -1: until the connection closes */
    ChunkState chunk_state;
    int64_t chunk_left;
    char last_byte;
} Connection;

typedef struct {
    double *values;
    long count, room;
} Samples;

static Connection *connections;
static int connection_count, poller, timer, port;
static char *request;
static int request_length;
static double rate;
static int64_t measure_from_ns, measure_to_ns;
static Samples latencies_us, first_bytes_us;
static long all_answers, all_events, events, failures, refusals, reconnects;
static int *idle, idle_count;
static int64_t *waiting; /* due times of requests that found no idle connection */
static long waiting_first, waiting_end, waiting_room;

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND_NS + time.tv_nsec;
}

static void add_sample(Samples *samples, double value)
{
    if (samples->count == samples->room) {
        samples->room = samples->room ? samples->room * 2 : 65536;
        samples->values = realloc(samples->values, samples->room * sizeof(double));
    }
    samples->values[samples->count++] = value;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double quantile(Samples *samples, double share)
{
    if (!samples->count)
        return 0;
    qsort(samples->values, samples->count, sizeof(double), compare);
    long index = share * samples->count;
    return samples->values[index < samples->count ? index : samples->count - 1];
}

static void dial(int number)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (void *)&address, sizeof address)) {
        perror("load: cannot connect");
        exit(3);
    }
    connections[number].fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = number};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static void redial(int number)
{
    close(connections[number].fd);
    reconnects++;
    dial(number);
}

static void ask(int number, int64_t due_ns)
{
    Connection *connection = &connections[number];
    connection->head_length = connection->is_in_body = connection->status = connection->closes_after = 0;
    connection->is_chunked = 0;
    connection->chunk_state = CHUNK_SIZE;
    connection->chunk_left = connection->first_byte_ns = connection->last_byte = 0;
    connection->is_busy = 1;
    connection->due_ns = due_ns;
    if (send(connection->fd, request, request_length, MSG_NOSIGNAL) == request_length)
        return;
    redial(number);
    if (send(connections[number].fd, request, request_length, MSG_NOSIGNAL) != request_length)
        failures++;
}

static void ask_next(int number)
{
    int64_t now = now_ns();
    if (rate == 0 && now < measure_to_ns)
        ask(number, now);
    else if (waiting_first < waiting_end)
        ask(number, waiting[waiting_first++]);
    else {
        connections[number].is_busy = 0;
        idle[idle_count++] = number;
    }
}

static void finish(int number, int is_whole)
{
    Connection *connection = &connections[number];
    int64_t now = now_ns();
    int64_t latest_ns = measure_to_ns + (rate > 0 ? 2 * SECOND_NS : 0);
    all_answers++;
    if (connection->due_ns >= measure_from_ns && now <= latest_ns) {
        if (!is_whole)
            failures++;
        else if (connection->status / 100 != 2)
            refusals++;
        else {
            int64_t first = connection->first_byte_ns ? connection->first_byte_ns : now;
            add_sample(&latencies_us, (now - connection->due_ns) / 1e3);
            add_sample(&first_bytes_us, (first - connection->due_ns) / 1e3);
        }
    }
    if (connection->closes_after)
        redial(number);
    ask_next(number);
}

static void count_events(Connection *connection, const char *bytes, int length, int64_t now)
{
    for (const char *at = bytes; length > 0 && (at = memchr(at, '\n', bytes + length - at)); at++)
        if ((at > bytes ? at[-1] : connection->last_byte) == '\n') {
            all_events++;
            events += now >= measure_from_ns && now <= measure_to_ns;
        }
    if (length > 0)
        connection->last_byte = bytes[length - 1];
}

/* Returns 1 when the last chunk has ended. */
static int take_chunks(Connection *connection, const char *bytes, int length, int64_t now)
{
    for (int at = 0; at < length;) {
        char byte = bytes[at];
        switch (connection->chunk_state) {
        case CHUNK_SIZE:
            at++;
            if (byte == '\n')
                connection->chunk_state = connection->chunk_left ? CHUNK_DATA : LAST_LINE;
            else if (byte != '\r')
                connection->chunk_left = connection->chunk_left * 16 + (byte <= '9' ? byte - '0' : (byte | 32) - 'a' + 10);
            break;
        case CHUNK_DATA: {
            int part = length - at < connection->chunk_left ? length - at : (int)connection->chunk_left;
            count_events(connection, bytes + at, part, now);
            at += part;
            connection->chunk_left -= part;
            if (!connection->chunk_left)
                connection->chunk_state = CHUNK_END;
            break;
        }
        case CHUNK_END:
            at++;
            if (byte == '\n')
                connection->chunk_state = CHUNK_SIZE;
            break;
        case LAST_LINE:
            at++;
            if (byte == '\n')
                return 1;
        }
    }
    return 0;
}

static void take_body(int number, const char *bytes, int length)
{
    Connection *connection = &connections[number];
    int64_t now = now_ns();
    if (length > 0 && !connection->first_byte_ns)
        connection->first_byte_ns = now;
    if (connection->is_chunked) {
        if (take_chunks(connection, bytes, length, now))
            finish(number, 1);
        return;
    }
    count_events(connection, bytes, length, now);
    if (connection->body_left >= 0) {
        connection->body_left -= length;
        if (connection->body_left <= 0)
            finish(number, 1);
    }
}

/* Collects the head; the bytes after it are body. */
static void take_head(int number, const char *bytes, int length)
{
    Connection *connection = &connections[number];
    int before = connection->head_length;
    int part = before + length < MAX_HEAD ? length : MAX_HEAD - 1 - before;
    memcpy(connection->head + before, bytes, part);
    connection->head_length += part;
    connection->head[connection->head_length] = 0;
    char *end = strstr(connection->head, "\r\n\r\n");
    if (!end)
        return;
    int used = end + 4 - connection->head - before;
    end[2] = 0;
    char *length_field = strcasestr(connection->head, "\ncontent-length:");
    connection->status = atoi(connection->head + 9);
    connection->body_left = length_field ? atoll(length_field + 16) : -1;
    connection->is_chunked = strcasestr(connection->head, "\ntransfer-encoding: chunked") != NULL;
    connection->closes_after = strcasestr(connection->head, "\nconnection: close") != NULL;
    connection->is_in_body = 1;
    if (length > used || connection->body_left == 0)
        take_body(number, bytes + used, length - used);
}

static void receive(int number)
{
    static char bytes[MAX_READ];
    Connection *connection = &connections[number];
    int got = recv(connection->fd, bytes, sizeof bytes, 0);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        int ends_by_close = connection->is_in_body && !connection->is_chunked && connection->body_left < 0;
        connection->closes_after = 1;
        if (connection->is_busy)
            finish(number, ends_by_close);
        else
            redial(number);
    } else if (connection->is_busy) {
        if (connection->is_in_body)
            take_body(number, bytes, got);
        else
            take_head(number, bytes, got);
    }
}

static void set_timer(int64_t at_ns)
{
    struct itimerspec when = {.it_value = {at_ns / SECOND_NS, at_ns % SECOND_NS}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Sends what is due by now, or lets it wait for a connection; returns when the next request is due. */
static int64_t send_due_requests(int64_t next_ns)
{
    uint64_t ticks;
    if (read(timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN)
        perror("load: timer");
    for (int64_t now = now_ns(); next_ns <= now && next_ns < measure_to_ns; next_ns += SECOND_NS / rate) {
        if (idle_count > 0 && waiting_first == waiting_end)
            ask(idle[--idle_count], next_ns);
        else if (waiting_end < waiting_room)
            waiting[waiting_end++] = next_ns;
    }
    if (next_ns < measure_to_ns)
        set_timer(next_ns);
    return next_ns;
}

static int busy_count(void)
{
    int busy = 0;
    for (int number = 0; number < connection_count; number++)
        busy += connections[number].is_busy;
    return busy;
}

static void build_request(char **arguments, int count)
{
    FILE *file = fopen(arguments[3], "rb");
    if (!file) {
        perror(arguments[3]);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    long body_length = ftell(file);
    rewind(file);
    request = malloc(body_length + MAX_HEAD);
    request_length = sprintf(request,
                             "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\nAccept: */*\r\n"
                             "User-Agent: bench\r\nContent-Length: %ld\r\n",
                             arguments[2], port, body_length);
    for (int i = 8; i < count; i++)
        request_length += snprintf(request + request_length, 1024, "%s\r\n", arguments[i]);
    request_length += sprintf(request + request_length, "\r\n");
    if ((long)fread(request + request_length, 1, body_length, file) != body_length)
        exit(2);
    request_length += body_length;
    fclose(file);
}

static void run(void)
{
    struct epoll_event ready[MAX_EVENTS];
    int64_t next_ns = now_ns(), last_ns = measure_to_ns + (rate > 0 ? 2 * SECOND_NS : 0);
    if (rate > 0)
        set_timer(next_ns);
    else
        for (int number = 0; number < connection_count; number++)
            ask(number, now_ns());
    for (int64_t now = now_ns(); now < last_ns; now = now_ns()) {
        if (rate > 0 && now >= measure_to_ns && waiting_first == waiting_end && !busy_count())
            break;
        int number = epoll_wait(poller, ready, MAX_EVENTS, 50);
        for (int i = 0; i < number; i++) {
            if (ready[i].data.u32 == TIMER)
                next_ns = send_due_requests(next_ns);
            else
                receive(ready[i].data.u32);
        }
    }
}

static void report(double seconds)
{
    long unfinished = rate > 0 ? waiting_end - waiting_first + busy_count() : 0;
    printf("{\"answers\": %ld, \"answers_per_s\": %.1f, \"latency_p50_us\": %.1f, \"latency_p99_us\": %.1f, "
           "\"first_byte_p50_us\": %.1f, \"first_byte_p99_us\": %.1f, \"events_per_s\": %.1f, \"failures\": %ld, "
           "\"refusals\": %ld, \"reconnects\": %ld, \"unfinished\": %ld, \"all_answers\": %ld, \"all_events\": %ld}\n",
           latencies_us.count, latencies_us.count / seconds, quantile(&latencies_us, 0.5), quantile(&latencies_us, 0.99),
           quantile(&first_bytes_us, 0.5), quantile(&first_bytes_us, 0.99), events / seconds, failures, refusals, reconnects,
           unfinished, all_answers, all_events);
}

int main(int count, char **arguments)
{
    if (count < 8) {
        fprintf(stderr, "usage: load PORT PATH BODY_FILE CONNECTIONS SECONDS RATE WARM_UP_SECONDS [HEADER]...\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    port = atoi(arguments[1]);
    connection_count = atoi(arguments[4]);
    double seconds = atof(arguments[5]), warm_up = atof(arguments[7]);
    rate = atof(arguments[6]);
    build_request(arguments, count);
    poller = epoll_create1(0);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = TIMER};
    epoll_ctl(poller, EPOLL_CTL_ADD, timer, &event);
    connections = calloc(connection_count, sizeof(Connection));
    idle = malloc(sizeof(int) * connection_count);
    waiting_room = rate * (seconds + warm_up + 2) + 16;
    waiting = malloc(sizeof(int64_t) * waiting_room);
    for (int number = connection_count - 1; number >= 0; number--) {
        dial(number);
        if (rate > 0)
            idle[idle_count++] = number;
    }
    measure_from_ns = now_ns() + warm_up * SECOND_NS;
    measure_to_ns = measure_from_ns + seconds * SECOND_NS;
    run();
    report(seconds);
    return 0;
}
