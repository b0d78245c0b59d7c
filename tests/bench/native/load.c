/* The load of the server benchmarks: pairs of connections that are logged in already, and what they say to each other.
 *
 * One thread drives all pairs. It never sleeps, so that it is not what limits, unless it is to leave its core to others
 * while it has nothing to do; `busy_seconds` says how much of its time it had something to do. A pair repeats a cycle of steps; a step is one frame of one of its ends, and is over
 * when what it waits for has come. With a rate, cycles begin on schedule whatever the server does, and a latency
 * counts from the time at which its message was due; without one, each pair has `window` cycles under way.
 *
 * To our server it acknowledges as our nodes do: at once what begins or ends a call, and signals together, so many or so
 * long after the first of them.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MARKS = 4, MARK_BYTES = 12, ID_LETTERS = 24, RING = 4096, BUFFER_BYTES = 262144, EVENTS = 256, GIVE_UP_SECONDS = 10 };
enum { CLOSE = 8, PING = 9, PONG = 10 };

/* What the other end says; the same numbers as in server_load.py. */
enum dialect { ENTRENOUS = 0, PLAIN = 1, NATS = 2 };

/* What a step waits for. */
enum { DELIVERED_THERE = 1, ACCEPTED = 2, ANSWERED = 4 };

/* What went wrong. */
enum { FINE = 0, REFUSED = 1, CLOSED = 2, TOO_SLOW = 3, STUCK = 4, ODD = 5 };

struct step {
    uint8_t *frame; /* a whole masked frame; the mask is in it */
    uint32_t length;
    uint32_t header; /* bytes in front of the mask */
    uint32_t marks; /* how many of `mark` are used: where the counter of the cycle is written, as 12 letters */
    uint32_t mark[MARKS];
    uint8_t side; /* which end says it */
    uint8_t waits_for;
};

struct pair {
    int fd[2];
    struct step *steps;
    uint32_t step_count;
};

struct options {
    double rate; /* cycles a second of all pairs together; 0: as many as possible */
    double warm_seconds, seconds;
    uint64_t first_cycle; /* the counter goes on over several runs: ids are never used twice */
    uint32_t window;
    uint32_t dialect;
    uint32_t sleeps; /* with a rate: wait for what comes and what is due, instead of looking again and again */
    char prefix[32]; /* PLAIN: what the payload of a delivered message begins with */
    double ack_seconds; /* ENTRENOUS: how acknowledgements are gathered */
    uint32_t ack_messages, ack_bytes;
};

struct result {
    uint64_t cycles; /* that ended in the measured time */
    uint64_t all_cycles; /* and in all */
    uint64_t next_cycle;
    double seconds, busy_seconds;
    uint32_t trouble;
    char said[128]; /* the beginning of what was refused */
    uint32_t histogram[2000000]; /* latencies of cycles, by microseconds */
};

struct end {
    uint8_t *incoming, *outgoing;
    uint32_t incoming_length, outgoing_length;
    uint64_t last_seq; /* ENTRENOUS: of the messages that have come, and how many of them are not acknowledged */
    uint32_t unacknowledged, unacknowledged_bytes;
    uint64_t skip; /* NATS: bytes of a body that are to come */
    char line[96]; /* NATS: the beginning of a line */
    uint32_t line_length;
    uint8_t dirty;
};

struct state {
    struct pair *pair;
    struct end end[2];
    double due[RING];
    uint64_t begun, ended; /* cycles */
    uint64_t cycle;        /* that was begun last: all steps of one say the same letters */
    uint32_t step;
    uint8_t id[ID_LETTERS]; /* ENTRENOUS: of the message of this step, as it was said last */
    uint8_t seen;
};

struct load {
    const struct options *options;
    struct result *result;
    struct state *states;
    uint32_t pairs;
    uint32_t *dirty, dirty_count;
    double *ack_at, next_ack; /* ENTRENOUS: of each end, 0 when nothing waits; none is due before `next_ack` */
    uint32_t acks; /* that wait */
    double measure_from, measure_until;
    uint64_t cycle;
};

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static void fail(struct load *load, uint32_t trouble, const uint8_t *said, uint32_t length)
{
    if (load->result->trouble)
        return;
    load->result->trouble = trouble;
    if (length > sizeof load->result->said - 1)
        length = sizeof load->result->said - 1;
    memcpy(load->result->said, said, length);
}

static uint8_t *room(struct load *load, struct state *state, int side, uint32_t bytes)
{
    struct end *end = &state->end[side];
    if (end->outgoing_length + bytes > BUFFER_BYTES) {
        fail(load, STUCK, (const uint8_t *)"", 0);
        return NULL;
    }
    if (!end->dirty) {
        end->dirty = 1;
        load->dirty[load->dirty_count++] = (uint32_t)(state - load->states) * 2 + (uint32_t)side;
    }
    uint8_t *at = end->outgoing + end->outgoing_length;
    end->outgoing_length += bytes;
    return at;
}

static void say_short(struct load *load, struct state *state, int side, uint8_t opcode, const char *text, uint32_t length)
{
    static const uint8_t mask[4] = {0x37, 0xFA, 0x21, 0x3D};
    uint8_t *frame = length < 126 ? room(load, state, side, length + 6) : NULL;
    if (!frame)
        return;
    frame[0] = 0x80 | opcode;
    frame[1] = 0x80 | (uint8_t)length;
    memcpy(frame + 2, mask, 4);
    for (uint32_t i = 0; i < length; i++)
        frame[6 + i] = (uint8_t)text[i] ^ mask[i & 3];
}

static void say_step(struct load *load, struct state *state)
{
    const struct step *step = &state->pair->steps[state->step];
    uint8_t *frame = room(load, state, step->side, step->length);
    if (!frame)
        return;
    memcpy(frame, step->frame, step->length);
    const uint8_t *mask = frame + step->header;
    for (uint32_t i = 0; i < step->marks; i++) {
        uint64_t counter = state->cycle;
        for (uint32_t at = step->mark[i]; at < step->mark[i] + MARK_BYTES; at++, counter >>= 4)
            frame[at] = (uint8_t)('A' + (counter & 15)) ^ mask[(at - step->header) & 3];
    }
    if (step->waits_for & ACCEPTED)
        for (uint32_t i = 0; i < ID_LETTERS; i++) /* the first mark is in the id, as it comes first in a message */
            state->id[i] = frame[step->mark[0] + i] ^ mask[(step->mark[0] + i - step->header) & 3];
    state->seen = 0;
}

static void begin(struct load *load, struct state *state, double due)
{
    if (state->begun - state->ended >= RING) {
        fail(load, TOO_SLOW, (const uint8_t *)"", 0);
        return;
    }
    state->due[state->begun++ % RING] = due;
    state->cycle = ++load->cycle;
    state->step = 0;
    say_step(load, state);
}

static void come(struct load *load, struct state *state, uint8_t what)
{
    const struct step *step = &state->pair->steps[state->step];
    if (!(step->waits_for & what))
        return;
    state->seen |= what;
    if (state->seen != step->waits_for)
        return;
    if (state->step + 1 < state->pair->step_count) {
        state->step++;
        say_step(load, state);
        return;
    }
    double at = now(), due = state->due[state->ended++ % RING];
    load->result->all_cycles++;
    state->seen = 0;
    if (at >= load->measure_from && at < load->measure_until) {
        uint64_t late = (uint64_t)((at - due) * 1e6), last = sizeof load->result->histogram / sizeof(uint32_t) - 1;
        load->result->histogram[late < last ? late : last]++;
        load->result->cycles++;
    }
    if (load->options->rate == 0 && at < load->measure_until)
        begin(load, state, at);
}

static int begins(const uint8_t *bytes, uint32_t length, const char *prefix)
{
    size_t wanted = strlen(prefix);
    return length >= wanted && !memcmp(bytes, prefix, wanted);
}

static void acknowledge(struct load *load, struct state *state, int side)
{
    struct end *end = &state->end[side];
    double *ack_at = &load->ack_at[(state - load->states) * 2 + side];
    char text[64] = "{\"type\":\"ack\",\"seq\":", digits[24];
    uint32_t count = 0, length = 20;
    for (uint64_t seq = end->last_seq; seq || !count; seq /= 10)
        digits[count++] = (char)('0' + seq % 10);
    while (count)
        text[length++] = digits[--count];
    text[length++] = '}';
    say_short(load, state, side, 1, text, length);
    end->unacknowledged = end->unacknowledged_bytes = 0;
    load->acks -= *ack_at > 0;
    *ack_at = 0;
}

static void owe(struct load *load, struct state *state, int side, const uint8_t *text, uint32_t length)
{
    static const char signal[] = "\"kind\":\"signal\"", body[] = "\"body\":\"";
    const struct options *options = load->options;
    struct end *end = &state->end[side];
    double *ack_at = &load->ack_at[(state - load->states) * 2 + side];
    const uint8_t *at = memmem(text, length, body, sizeof body - 1);
    const uint8_t *letters = at ? at + sizeof body - 1 : text + length;
    const uint8_t *stop = memchr(letters, '"', (size_t)(text + length - letters));
    end->unacknowledged++;
    end->unacknowledged_bytes += stop ? (uint32_t)(stop - letters) / 4 * 3 : 0;
    if (!at || !memmem(text, (size_t)(at - text), signal, sizeof signal - 1) ||
        end->unacknowledged >= options->ack_messages || end->unacknowledged_bytes >= options->ack_bytes) {
        acknowledge(load, state, side);
    } else if (*ack_at == 0) {
        *ack_at = now() + options->ack_seconds;
        if (!load->acks++ || *ack_at < load->next_ack)
            load->next_ack = *ack_at;
    }
}

static int acknowledge_due(struct load *load, double until)
{
    if (!load->acks || load->next_ack > until)
        return 0;
    load->next_ack = until + load->options->ack_seconds;
    for (uint32_t i = 0; i < load->pairs * 2; i++) {
        if (load->ack_at[i] > 0 && load->ack_at[i] <= until)
            acknowledge(load, &load->states[i / 2], (int)(i % 2));
        else if (load->ack_at[i] > 0 && load->ack_at[i] < load->next_ack)
            load->next_ack = load->ack_at[i];
    }
    return 1;
}

static void hear_entrenous(struct load *load, struct state *state, int side, const uint8_t *text, uint32_t length)
{
    static const char deliver[] = "{\"type\":\"deliver\",\"seq\":";
    const struct step *step = &state->pair->steps[state->step];
    if (begins(text, length, deliver)) {
        uint64_t seq = 0;
        for (uint32_t i = sizeof deliver - 1; i < length && text[i] >= '0' && text[i] <= '9'; i++)
            seq = seq * 10 + (uint64_t)(text[i] - '0');
        state->end[side].last_seq = seq;
        owe(load, state, side, text, length);
        if (step->side != side)
            come(load, state, DELIVERED_THERE);
    } else if (begins(text, length, "{\"type\":\"accepted\"") || begins(text, length, "{\"type\":\"delivered\"")) {
        if (step->side == side && step->waits_for & ACCEPTED && memmem(text, length, state->id, ID_LETTERS))
            come(load, state, ACCEPTED);
    } else if (begins(text, length, "{\"type\":\"devices\"")) {
        come(load, state, ANSWERED);
    } else if (!begins(text, length, "{\"type\":\"no-letters\"")) {
        fail(load, REFUSED, text, length);
    }
}

static void hear_nats_line(struct load *load, struct state *state, int side)
{
    struct end *end = &state->end[side];
    const uint8_t *line = (const uint8_t *)end->line;
    if (begins(line, end->line_length, "MSG ")) {
        end->line[end->line_length] = 0;
        end->skip = strtoull(strrchr(end->line, ' ') + 1, NULL, 10) + 2;
    } else if (begins(line, end->line_length, "PING")) {
        say_short(load, state, side, 2, "PONG\r\n", 6);
    } else if (!begins(line, end->line_length, "PONG") && !begins(line, end->line_length, "+OK")) {
        fail(load, REFUSED, line, end->line_length);
    }
}

static void hear_nats(struct load *load, struct state *state, int side, const uint8_t *bytes, uint32_t length)
{
    struct end *end = &state->end[side];
    while (length) {
        if (end->skip) {
            uint64_t taken = end->skip < length ? end->skip : length;
            end->skip -= taken;
            bytes += taken;
            length -= (uint32_t)taken;
            if (!end->skip)
                come(load, state, DELIVERED_THERE);
            continue;
        }
        if (*bytes == '\n') {
            hear_nats_line(load, state, side);
            end->line_length = 0;
        } else if (*bytes != '\r' && end->line_length < sizeof end->line - 1) {
            end->line[end->line_length++] = (char)*bytes;
        }
        bytes++;
        length--;
    }
}

static void hear_frame(struct load *load, struct state *state, int side, uint8_t opcode, const uint8_t *payload,
                       uint32_t length)
{
    if (opcode == PING) {
        say_short(load, state, side, PONG, (const char *)payload, length);
    } else if (opcode == CLOSE) {
        fail(load, CLOSED, payload, length);
    } else if (opcode < CLOSE) {
        switch ((enum dialect)load->options->dialect) {
        case ENTRENOUS:
            hear_entrenous(load, state, side, payload, length);
            break;
        case PLAIN:
            if (begins(payload, length, load->options->prefix))
                come(load, state, DELIVERED_THERE);
            else
                fail(load, REFUSED, payload, length);
            break;
        case NATS:
            hear_nats(load, state, side, payload, length);
            break;
        }
    }
}

static void hear(struct load *load, struct state *state, int side)
{
    struct end *end = &state->end[side];
    ssize_t got = recv(state->pair->fd[side], end->incoming + end->incoming_length, BUFFER_BYTES - end->incoming_length, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            fail(load, CLOSED, (const uint8_t *)"", 0);
        return;
    }
    end->incoming_length += (uint32_t)got;
    uint8_t *at = end->incoming, *stop = end->incoming + end->incoming_length;
    while (stop - at >= 2) {
        uint64_t length = at[1] & 127, head = length < 126 ? 2 : length == 126 ? 4 : 10;
        if ((uint64_t)(stop - at) < head)
            break;
        if (head > 2) {
            length = 0;
            for (uint64_t i = 2; i < head; i++)
                length = length << 8 | at[i];
        }
        if (length > BUFFER_BYTES - 16) {
            fail(load, ODD, at, 16);
            return;
        }
        if ((uint64_t)(stop - at) < head + length)
            break;
        hear_frame(load, state, side, at[0] & 15, at + head, (uint32_t)length);
        at += head + length;
    }
    end->incoming_length = (uint32_t)(stop - at);
    memmove(end->incoming, at, end->incoming_length);
}

static void flush(struct load *load)
{
    uint32_t kept = 0, count = load->dirty_count;
    for (uint32_t i = 0; i < count; i++) {
        struct state *state = &load->states[load->dirty[i] / 2];
        int side = (int)(load->dirty[i] % 2);
        struct end *end = &state->end[side];
        ssize_t sent = send(state->pair->fd[side], end->outgoing, end->outgoing_length, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            fail(load, CLOSED, (const uint8_t *)"", 0);
        if (sent > 0) {
            end->outgoing_length -= (uint32_t)sent;
            memmove(end->outgoing, end->outgoing + sent, end->outgoing_length);
        }
        if (end->outgoing_length)
            load->dirty[kept++] = load->dirty[i]; /* the next turn tries again */
        else
            end->dirty = 0;
    }
    load->dirty_count = kept;
}

static uint64_t open_cycles(const struct load *load)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < load->pairs; i++)
        sum += load->states[i].begun - load->states[i].ended;
    return sum;
}

/* How long nothing is due, if it is to sleep: never after the end of what is measured. */
static struct timespec rest(const struct load *load, double due, double at)
{
    double left = (due < load->measure_until ? due : load->measure_until) - at;
    if (!load->options->sleeps || left < 0)
        left = 0;
    return (struct timespec){.tv_sec = (time_t)left, .tv_nsec = (long)(1e9 * (left - (double)(time_t)left))};
}

static void drive(struct load *load, int poller)
{
    const struct options *options = load->options;
    double start = now(), give_up;
    uint64_t scheduled = 0;
    load->measure_from = start + options->warm_seconds;
    load->measure_until = load->measure_from + options->seconds;
    give_up = load->measure_until + GIVE_UP_SECONDS;
    if (options->sleeps)
        prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0); /* or it would be woken up to 50 us late */
    if (options->rate == 0)
        for (uint32_t i = 0; i < load->pairs; i++)
            for (uint32_t j = 0; j < options->window; j++)
                begin(load, &load->states[i], now());
    while (!load->result->trouble) {
        struct epoll_event events[EVENTS];
        double due = start + (double)scheduled / options->rate;
        struct timespec until_due = rest(load, due, now());
        int ready = epoll_pwait2(poller, events, EVENTS, &until_due, NULL), busy = ready > 0;
        double turn = now();
        while (options->rate > 0 && (due = start + (double)scheduled / options->rate) <= turn && due < load->measure_until) {
            begin(load, &load->states[scheduled++ % load->pairs], due);
            busy = 1;
        }
        for (int i = 0; i < ready; i++)
            hear(load, &load->states[events[i].data.u32 / 2], (int)(events[i].data.u32 % 2));
        busy |= acknowledge_due(load, now());
        if (load->dirty_count)
            flush(load);
        double done = now();
        if (busy && turn >= load->measure_from && turn < load->measure_until)
            load->result->busy_seconds += done - turn;
        if (done >= load->measure_until && !busy && !load->dirty_count && !load->acks && !open_cycles(load))
            break;
        if (done >= give_up)
            fail(load, STUCK, (const uint8_t *)"", 0);
    }
}

/* Drive the pairs; returns 0, or -1 when there is no memory. The sockets must not block. */
int drive_load(struct pair *pairs, uint32_t count, const struct options *options, struct result *result)
{
    struct load load = {.options = options, .result = result, .pairs = count, .cycle = options->first_cycle};
    int poller = epoll_create1(EPOLL_CLOEXEC), outcome = -1;
    memset(result, 0, sizeof *result);
    load.states = calloc(count, sizeof *load.states);
    load.dirty = calloc(count * 2, sizeof *load.dirty);
    load.ack_at = calloc(count * 2, sizeof *load.ack_at);
    if (poller < 0 || !load.states || !load.dirty || !load.ack_at)
        goto over;
    for (uint32_t i = 0; i < count; i++) {
        load.states[i].pair = &pairs[i];
        for (uint32_t side = 0; side < 2; side++) {
            struct epoll_event event = {.events = EPOLLIN, .data.u32 = i * 2 + side};
            load.states[i].end[side].incoming = malloc(BUFFER_BYTES);
            load.states[i].end[side].outgoing = malloc(BUFFER_BYTES);
            if (!load.states[i].end[side].incoming || !load.states[i].end[side].outgoing)
                goto over;
            epoll_ctl(poller, EPOLL_CTL_ADD, pairs[i].fd[side], &event);
        }
    }
    drive(&load, poller);
    result->seconds = options->seconds;
    result->next_cycle = load.cycle + 1;
    outcome = 0;
over:
    for (uint32_t i = 0; load.states && i < count; i++)
        for (int side = 0; side < 2; side++) {
            free(load.states[i].end[side].incoming);
            free(load.states[i].end[side].outgoing);
        }
    free(load.states);
    free(load.dirty);
    free(load.ack_at);
    if (poller >= 0)
        close(poller);
    return outcome;
}
