/* The guest ABI pgwarden-1 in C, as much of it as a guard needs. The whole of it: plugins/README.md of pgwarden. */
#ifndef PGWARDEN_H
#define PGWARDEN_H

typedef unsigned char pgw_u8;
typedef unsigned short pgw_u16;
typedef unsigned int pgw_u32;
typedef unsigned long long pgw_u64;

#define PGW_EXPORT(name) __attribute__((export_name(name)))

/* Answers that need no frame. */
enum { PGW_NEXT = 0, PGW_ALLOW = 1, PGW_DEFER = 2, PGW_REFUSE = 3 };

/* Fields; their types stand in the same table of plugins/README.md. */
enum { PGW_USER_NAME = 1, PGW_USER_ROLES = 3, PGW_USER_TENANT = 4, PGW_SQL_KINDS = 41, PGW_SQL_READ_ONLY = 42, PGW_SQL_TABLES = 52 };

/* Bytes of a field that is in the frame. */
typedef struct {
    const pgw_u8 *at;
    pgw_u32 len;
} pgw_bytes;

static inline pgw_u32 pgw_u32_at(const pgw_u8 *at) {
    return (pgw_u32)at[0] | (pgw_u32)at[1] << 8 | (pgw_u32)at[2] << 16 | (pgw_u32)at[3] << 24;
}

/* The field of that id; `at` is 0 where it is not granted or has no value. */
static inline pgw_bytes pgw_field(const pgw_u8 *frame, pgw_u16 id) {
    pgw_u32 count = (pgw_u32)frame[8] | (pgw_u32)frame[9] << 8;
    for (pgw_u32 i = 0; i < count; i++) {
        const pgw_u8 *entry = frame + 12 + 12 * i;
        if (((pgw_u32)entry[0] | (pgw_u32)entry[1] << 8) == id)
            return (pgw_bytes){frame + pgw_u32_at(entry + 4), pgw_u32_at(entry + 8)};
    }
    return (pgw_bytes){0, 0};
}

/* Whether a flag is there and true. */
static inline int pgw_flag(const pgw_u8 *frame, pgw_u16 id) {
    pgw_bytes flag = pgw_field(frame, id);
    return flag.at && flag.len == 1 && flag.at[0] == 1;
}

/* Whether a list of texts holds this one. */
static inline int pgw_has(const pgw_u8 *frame, pgw_u16 id, const char *text) {
    pgw_bytes list = pgw_field(frame, id);
    pgw_u32 at = 0, wanted = 0;
    while (text[wanted]) wanted++;
    while (list.at && at + 4 <= list.len) {
        pgw_u32 len = pgw_u32_at(list.at + at), same = 0;
        at += 4;
        if (len == 0xffffffff) continue;
        if (len > list.len - at) return 0;
        while (len == wanted && same < len && list.at[at + same] == (pgw_u8)text[same]) same++;
        if (len == wanted && same == len) return 1;
        at += len;
    }
    return 0;
}

#endif
