/* A model server that costs next to nothing: one thread, epoll, HTTP/1.1 keep-alive, OpenAI's chat dialect.
 *
 *     upstream PORT
 *
 * The model's name in the request body says how it behaves: up-<events>-<ms>.
 *   "stream": true   a role event, <events> content events, a stop event, a usage event and [DONE]; each event its own send(),
 *                    <ms> apart (0: as fast as the streams take turns)
 *   otherwise        one JSON answer of about 600 bytes after <ms>
 * Any path will do. GET answers with a list of the models that the bench uses.
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
#include <time.h>
#include <unistd.h>

enum { MAX_FDS = 65536, MAX_EVENTS = 512, READ_STEP = 32768, NOT_STREAMED = -2, ROLE_EVENT = -1 };

#define ANSWER                                                                                                                 \
    "{\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion\",\"created\":1741569952,"                   \
    "\"model\":\"up\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hello! How can I assist you "   \
    "today? I can help with writing, code, analysis and much more.\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,"    \
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,\"total_tokens\":29,"                 \
    "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\"completion_tokens_details\":"                         \
    "{\"reasoning_tokens\":0,\"audio_tokens\":0}},\"service_tier\":\"default\"}"
#define EVENT_HEAD                                                                                                             \
    "data: {\"id\":\"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT\",\"object\":\"chat.completion.chunk\",\"created\":1741569952,"       \
    "\"model\":\"up\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_abc\","
#define CHOICE(delta, reason) EVENT_HEAD "\"choices\":[{\"index\":0,\"delta\":" delta ",\"logprobs\":null,\"finish_reason\":" reason "}]}\n\n"
#define MODELS                                                                                                                 \
    "{\"object\":\"list\",\"data\":[{\"id\":\"up-0-0\",\"object\":\"model\"},{\"id\":\"up-32-0\",\"object\":\"model\"},"          \
    "{\"id\":\"up-32-20\",\"object\":\"model\"},{\"id\":\"up-256-0\",\"object\":\"model\"}]}"

typedef struct {
    char bytes[4096];
    int length;
} Message;

typedef struct {
    char *in;
    int in_length, in_room;
    char *out; /* what the socket would not take yet */
    int out_length, out_sent, out_room;
    int is_answering;
    int events, pace_ms, next_event;
    int64_t due_ns;
} Connection;

static Connection *connections[MAX_FDS];
static int answering[MAX_FDS], answering_count;
static int poller;
static Message json_answer, model_list, stream_head, role_event, content_events[2], last_events;

static int64_t now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void add_chunk(Message *message, const char *text)
{
    message->length += sprintf(message->bytes + message->length, "%zx\r\n%s\r\n", strlen(text), text);
}

static void set_json(Message *message, const char *body)
{
    message->length = sprintf(message->bytes,
                              "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_123\r\n"
                              "content-length: %zu\r\n\r\n%s",
                              strlen(body), body);
}

static void prepare_messages(void)
{
    set_json(&json_answer, ANSWER);
    set_json(&model_list, MODELS);
    stream_head.length = sprintf(stream_head.bytes, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                                                    "cache-control: no-cache\r\nx-request-id: req_123\r\n"
                                                    "transfer-encoding: chunked\r\n\r\n");
    add_chunk(&role_event, CHOICE("{\"role\":\"assistant\",\"content\":\"\"}", "null"));
    add_chunk(&content_events[0], CHOICE("{\"content\":\" token\"}", "null"));
    add_chunk(&content_events[1], CHOICE("{\"content\":\" other\"}", "null")); /* some gateways cut a text that repeats */
    add_chunk(&last_events, CHOICE("{}", "\"stop\""));
    add_chunk(&last_events, EVENT_HEAD "\"choices\":[],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":10,"
                                       "\"total_tokens\":29}}\n\n");
    add_chunk(&last_events, "data: [DONE]\n\n");
    last_events.length += sprintf(last_events.bytes + last_events.length, "0\r\n\r\n");
}

static void watch(int fd, int operation, uint32_t what)
{
    struct epoll_event event = {.events = what, .data.fd = fd};
    epoll_ctl(poller, operation, fd, &event);
}

static void stop_answering(int fd)
{
    for (int i = 0; i < answering_count; i++)
        if (answering[i] == fd) {
            answering[i] = answering[--answering_count];
            break;
        }
    connections[fd]->is_answering = 0;
}

static void drop(int fd)
{
    Connection *connection = connections[fd];
    if (!connection)
        return;
    stop_answering(fd);
    free(connection->in);
    free(connection->out);
    free(connection);
    connections[fd] = NULL;
    close(fd);
}

static int is_clogged(const Connection *connection) { return connection->out_sent < connection->out_length; }

/* Sends at once what the socket takes and keeps the rest. Returns -1 when the peer is gone. */
static int put(int fd, const Message *message)
{
    Connection *connection = connections[fd];
    int sent = 0;
    if (!is_clogged(connection)) {
        connection->out_length = connection->out_sent = 0;
        sent = send(fd, message->bytes, message->length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            drop(fd);
            return -1;
        }
        sent = sent < 0 ? 0 : sent;
    }
    int left = message->length - sent;
    if (!left)
        return 0;
    if (connection->out_length + left > connection->out_room) {
        connection->out_room = (connection->out_length + left) * 2;
        connection->out = realloc(connection->out, connection->out_room);
    }
    memcpy(connection->out + connection->out_length, message->bytes + sent, left);
    connection->out_length += left;
    watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    return 0;
}

static int flush(int fd)
{
    Connection *connection = connections[fd];
    while (is_clogged(connection)) {
        int sent = send(fd, connection->out + connection->out_sent, connection->out_length - connection->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return 0;
        if (sent < 0) {
            drop(fd);
            return -1;
        }
        connection->out_sent += sent;
    }
    connection->out_length = connection->out_sent = 0;
    watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    return 0;
}

static int wants_stream(const char *body, int length)
{
    const char *field = memmem(body, length, "\"stream\"", 8);
    if (!field)
        return 0;
    for (field += 8; *field == ' ' || *field == ':'; field++)
        ;
    return *field == 't';
}

/* Begins the answer to one request. Returns -1 when the peer is gone. */
static int answer(int fd, int is_get, const char *body, int length)
{
    Connection *connection = connections[fd];
    if (is_get)
        return put(fd, &model_list);
    connection->events = connection->pace_ms = 0;
    const char *model = memmem(body, length, "\"up-", 4);
    if (model)
        sscanf(model + 4, "%d-%d", &connection->events, &connection->pace_ms);
    int is_stream = wants_stream(body, length);
    if (!is_stream && !connection->pace_ms)
        return put(fd, &json_answer);
    connection->next_event = is_stream ? ROLE_EVENT : NOT_STREAMED;
    connection->due_ns = now_ns() + connection->pace_ms * 1000000LL;
    connection->is_answering = 1;
    answering[answering_count++] = fd;
    return is_stream ? put(fd, &stream_head) : 0;
}

/* Length of the first whole request in the buffer, with where its body is; 0 while there is none. */
static int whole_request(Connection *connection, char **body, int *body_length)
{
    char *end = memmem(connection->in, connection->in_length, "\r\n\r\n", 4);
    if (!end)
        return 0;
    *body = end + 4;
    int head_length = *body - connection->in, after_head = connection->in_length - head_length;
    *end = 0;
    char *length_field = strcasestr(connection->in, "\ncontent-length:");
    int is_chunked = strcasestr(connection->in, "\ntransfer-encoding: chunked") != NULL;
    *end = '\r';
    if (is_chunked) {
        char *last = memmem(*body, after_head, "0\r\n\r\n", 5);
        *body_length = last ? last - *body : 0;
        return last ? head_length + *body_length + 5 : 0;
    }
    *body_length = length_field ? atoi(length_field + 16) : 0;
    return after_head < *body_length ? 0 : head_length + *body_length;
}

static void take_requests(int fd)
{
    Connection *connection;
    while ((connection = connections[fd]) && connection->in_length > 0 && !connection->is_answering) {
        char *body;
        int body_length;
        connection->in[connection->in_length] = 0;
        int used = whole_request(connection, &body, &body_length);
        if (!used || answer(fd, !strncmp(connection->in, "GET ", 4), body, body_length) < 0)
            return;
        memmove(connection->in, connection->in + used, connection->in_length - used);
        connection->in_length -= used;
    }
}

static void receive(int fd)
{
    Connection *connection = connections[fd];
    if (connection->in_room - connection->in_length < READ_STEP) {
        connection->in_room = connection->in_room ? connection->in_room * 2 : 2 * READ_STEP;
        connection->in = realloc(connection->in, connection->in_room + 1);
    }
    int got = recv(fd, connection->in + connection->in_length, connection->in_room - connection->in_length, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN))
        drop(fd);
    else if (got > 0) {
        connection->in_length += got;
        take_requests(fd);
    }
}

/* Sends the next event of one answer. */
static void go_on(int fd)
{
    Connection *connection = connections[fd];
    const Message *message = connection->next_event == NOT_STREAMED          ? &json_answer
                             : connection->next_event == ROLE_EVENT          ? &role_event
                             : connection->next_event < connection->events ? &content_events[connection->next_event & 1]
                                                                             : &last_events;
    if (message == &json_answer || message == &last_events) {
        stop_answering(fd);
        if (put(fd, message) == 0)
            take_requests(fd);
    } else if (put(fd, message) == 0) {
        connection->next_event++;
        connection->due_ns += connection->pace_ms * 1000000LL;
    }
}

static void send_due_events(void)
{
    int64_t now = now_ns();
    for (int i = answering_count - 1; i >= 0; i--) { /* backwards: an answer that ends is replaced by the last one */
        Connection *connection = i < answering_count ? connections[answering[i]] : NULL;
        if (connection && connection->due_ns <= now && !is_clogged(connection))
            go_on(answering[i]);
    }
}

static int wait_ms(void)
{
    int64_t now = now_ns(), first = INT64_MAX;
    for (int i = 0; i < answering_count; i++) {
        Connection *connection = connections[answering[i]];
        if (!is_clogged(connection) && connection->due_ns < first)
            first = connection->due_ns;
    }
    return first == INT64_MAX ? -1 : first <= now ? 0 : (int)((first - now + 999999) / 1000000);
}

static void welcome(int listener)
{
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MAX_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd] = calloc(1, sizeof(Connection));
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static int listen_on(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 4096)) {
        perror("upstream: cannot listen");
        exit(1);
    }
    return listener;
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: upstream PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prepare_messages();
    int listener = listen_on(atoi(arguments[1]));
    poller = epoll_create1(0);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    struct epoll_event ready[MAX_EVENTS];
    for (;;) {
        int number = epoll_wait(poller, ready, MAX_EVENTS, wait_ms());
        for (int i = 0; i < number; i++) {
            int fd = ready[i].data.fd;
            if (fd == listener) {
                welcome(listener);
                continue;
            }
            if (connections[fd] && (ready[i].events & EPOLLOUT))
                flush(fd);
            if (connections[fd] && (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                receive(fd);
        }
        send_due_events();
    }
}
