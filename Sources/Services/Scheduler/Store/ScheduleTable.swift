import Platform
import Storage
import Wire

enum ScheduleTable {
    private static let columns = "account, region, grp, name, document, occurrence, due"

    static func get(_ key: ScheduleKey, in transaction: any ReadTransaction) throws -> Schedule? {
        try transaction.first(
            "SELECT \(columns) FROM scheduler_schedule WHERE account = ? AND region = ? AND grp = ? AND name = ?",
            key.values, schedule)
    }

    /// Throws ResourceNotFoundException.
    static func require(_ key: ScheduleKey, in transaction: any ReadTransaction) throws -> Schedule {
        guard let schedule = try get(key, in: transaction) else { throw AWSError.noSchedule(key.name) }
        return schedule
    }

    static func put(_ schedule: Schedule, in transaction: any WriteTransaction) throws {
        try transaction.execute(
            """
            INSERT INTO scheduler_schedule (account, region, grp, name, document, occurrence, due)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, grp, name) DO UPDATE SET document = excluded.document,
            occurrence = excluded.occurrence, due = excluded.due
            """,
            schedule.key.values + [
                .blob(JSON.encode(.map(schedule.document))), .optional(schedule.occurrence?.nanoseconds),
                .optional(schedule.due?.nanoseconds),
            ])
    }

    static func setNext(
        _ key: ScheduleKey, occurrence: Instant?, due: Instant?, in transaction: any WriteTransaction
    ) throws {
        try transaction.execute(
            """
            UPDATE scheduler_schedule SET occurrence = ?, due = ?
            WHERE account = ? AND region = ? AND grp = ? AND name = ?
            """, [.optional(occurrence?.nanoseconds), .optional(due?.nanoseconds)] + key.values)
    }

    /// Whether it was there.
    static func delete(_ key: ScheduleKey, in transaction: any WriteTransaction) throws -> Bool {
        try transaction.execute(
            "DELETE FROM scheduler_schedule WHERE account = ? AND region = ? AND grp = ? AND name = ?", key.values) > 0
    }

    /// Removes schedules of a group; answers how many.
    static func delete(of group: GroupKey, limit: Int, in transaction: any WriteTransaction) throws -> Int {
        let names = try transaction.query(
            "SELECT name FROM scheduler_schedule WHERE account = ? AND region = ? AND grp = ? LIMIT ?",
            group.values + [.int(Int64(limit))]
        ) { $0.text(0) }
        for name in names { _ = try delete(ScheduleKey(group: group, name: name), in: transaction) }
        return names.count
    }

    /// Schedules that are due, the earliest first.
    static func due(_ now: Instant, limit: Int, in transaction: any ReadTransaction) throws -> [Schedule] {
        try transaction.query(
            "SELECT \(columns) FROM scheduler_schedule WHERE due IS NOT NULL AND due <= ? ORDER BY due LIMIT ?",
            [.int(now.nanoseconds), .int(Int64(limit))], schedule)
    }

    static func nextDue(in transaction: any ReadTransaction) throws -> Instant? {
        try transaction.first(
            "SELECT due FROM scheduler_schedule WHERE due IS NOT NULL ORDER BY due LIMIT 1", []
        ) { Instant(nanoseconds: $0.int(0)) }
    }

    /// Schedules behind a place, in the order of groups and names.
    static func list(
        _ scope: AccountRegion, after place: (group: String, name: String), prefix: String, limit: Int,
        in transaction: any ReadTransaction
    ) throws -> [Schedule] {
        try transaction.query(
            """
            SELECT \(columns) FROM scheduler_schedule
            WHERE account = ? AND region = ? AND (grp, name) > (?, ?) AND substr(name, 1, length(?)) = ?
            ORDER BY grp, name LIMIT ?
            """,
            [
                .text(scope.account), .text(scope.region), .text(place.group), .text(place.name), .text(prefix),
                .text(prefix), .int(Int64(limit)),
            ], schedule)
    }

    /// As `list`, of one group.
    static func list(
        of group: GroupKey, after name: String, prefix: String = "", limit: Int, in transaction: any ReadTransaction
    ) throws -> [Schedule] {
        try transaction.query(
            """
            SELECT \(columns) FROM scheduler_schedule
            WHERE account = ? AND region = ? AND grp = ? AND name > ? AND substr(name, 1, length(?)) = ?
            ORDER BY name LIMIT ?
            """, group.values + [.text(name), .text(prefix), .text(prefix), .int(Int64(limit))], schedule)
    }

    private static func schedule(_ row: any Row) -> Schedule {
        let scope = AccountRegion(account: row.text(0), region: row.text(1))
        return Schedule(
            key: ScheduleKey(group: GroupKey(scope: scope, name: row.text(2)), name: row.text(3)),
            document: Documents.fields(row.blob(4)),
            occurrence: row.optionalInt(5).map { Instant(nanoseconds: $0) },
            due: row.optionalInt(6).map { Instant(nanoseconds: $0) })
    }
}
