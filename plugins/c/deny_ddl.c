/* deny_ddl in C: refuses schema changes and grants, unless the user has one of the roles that the configuration lists.
 * Written from plugins/README.md alone, without a library: the same answers as deny_ddl/ in Rust gives. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define HOOK(name) __attribute__((export_name(name)))

__attribute__((import_module("pgwarden1"), import_name("config"))) int host_config(const char *path, u32 path_len, void *out, u32 room);

/* The manifest, as a custom section: clang gives a section of this name to the linker as it is. */
__asm__(".section \".custom_section.pgwarden:manifest\",\"\",@\n"
        ".incbin \"manifest.json\"\n"
        ".text\n");

enum { USER_ROLES = 3, SQL_KINDS = 41 };           /* fields of the input */
enum { DENY = 3, MESSAGE = 1, CODE = 2, HINT = 3 }; /* of the answer */
enum { HEADER = 12, ENTRY = 12, TEXT = 1 };

static u8 input[16 << 10];
static u8 answer[512];
static u32 answer_len;

HOOK("pgw_alloc") u8 *pgw_alloc(u32 len) { return len <= sizeof input ? input : 0; }

static u32 number(const u8 *at) { return at[0] | at[1] << 8 | at[2] << 16 | (u32)at[3] << 24; }
static u32 length(const char *text) {
    u32 len = 0;
    while (text[len]) len++;
    return len;
}
static int same(const u8 *a, u32 a_len, const u8 *b, u32 b_len) {
    if (a_len != b_len) return 0;
    for (u32 i = 0; i < a_len; i++)
        if (a[i] != b[i]) return 0;
    return 1;
}

/* A list of the input: texts, each after its length. */
typedef struct {
    const u8 *at, *end;
} list;

static list field(const u8 *frame, u32 frame_len, u16 id) {
    list none = {0, 0};
    u32 count = frame[8] | frame[9] << 8;
    for (u32 i = 0; i < count; i++) {
        const u8 *entry = frame + HEADER + ENTRY * i;
        if ((entry[0] | entry[1] << 8) != id) continue;
        u32 offset = number(entry + 4), len = number(entry + 8);
        if (offset > frame_len || len > frame_len - offset) return none;
        list found = {frame + offset, frame + offset + len};
        return found;
    }
    return none;
}

static int has(list items, const u8 *wanted, u32 wanted_len) {
    while (items.end - items.at >= 4) {
        u32 len = number(items.at);
        items.at += 4;
        if (len == 0xFFFFFFFF) continue; /* no value */
        if (len > (u32)(items.end - items.at)) return 0;
        if (same(items.at, len, wanted, wanted_len)) return 1;
        items.at += len;
    }
    return 0;
}

static int is_exempt(list roles) {
    char path[] = "roles.00";
    u8 role[128];
    for (u32 i = 0; i < 64; i++) {
        u32 digits = 0;
        if (i >= 10) path[6 + digits++] = '0' + i / 10;
        path[6 + digits++] = '0' + i % 10;
        int len = host_config(path, 6 + digits, role, sizeof role);
        if (len < 0 || (u32)len > sizeof role) return 0;
        if (has(roles, role, len)) return 1;
    }
    return 0;
}

static void put(const char *text) {
    while (*text) answer[answer_len++] = *text++;
}
static void put_number(u32 value, u32 bytes) {
    for (u32 i = 0; i < bytes; i++) answer[answer_len++] = value >> 8 * i;
}

/* A refusal with a message of three parts, a code and a hint. */
static u64 deny(const char *before, const char *kind, const char *after, const char *code, const char *hint) {
    u32 message = length(before) + length(kind) + length(after);
    u32 at = HEADER + 3 * ENTRY;
    u16 ids[3] = {MESSAGE, CODE, HINT};
    u32 lens[3] = {message, length(code), length(hint)};
    answer_len = 0;
    put("pga1");
    put_number(0, 2); /* minor */
    put_number(DENY, 2);
    put_number(3, 2); /* entries */
    put_number(0, 2);
    for (u32 i = 0; i < 3; i++) {
        put_number(ids[i], 2);
        put_number(TEXT, 2);
        put_number(at, 4);
        put_number(lens[i], 4);
        at += lens[i];
    }
    put(before), put(kind), put(after), put(code), put(hint);
    return (u64)(u32)answer << 32 | answer_len;
}

static u64 decide(const u8 *frame, u32 len) {
    static const char *const kinds[] = {"ddl", "grant", "unparsed"};
    list found = field(frame, len, SQL_KINDS);
    for (u32 i = 0; i < 3; i++) {
        if (!has(found, (const u8 *)kinds[i], length(kinds[i]))) continue;
        if (is_exempt(field(frame, len, USER_ROLES))) return 0;
        return deny("schema changes (", kinds[i], ") go through migrations", "42501", "ask someone with a role that may");
    }
    return 0; /* nothing to say */
}

HOOK("pre_query") u64 pre_query(const u8 *frame, u32 len) { return decide(frame, len); }
HOOK("authorize") u64 authorize(const u8 *frame, u32 len) { return decide(frame, len); }
