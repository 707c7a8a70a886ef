/* {{name}}: refuses what may change data, unless the user has the role `writer`. */
#include "pgwarden.h"

/* Room for the host to write what it tells. */
static pgw_u8 room[16384];

PGW_EXPORT("pgw_alloc") pgw_u8 *alloc(pgw_u32 len) { return len <= sizeof room ? room : 0; }

PGW_EXPORT("authorize") pgw_u64 authorize(const pgw_u8 *frame, pgw_u32 len) {
    (void)len;
    if (pgw_flag(frame, PGW_SQL_READ_ONLY) || pgw_has(frame, PGW_USER_ROLES, "writer")) return PGW_NEXT;
    return PGW_REFUSE;
}
