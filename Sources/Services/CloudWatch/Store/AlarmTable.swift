import Platform
import Storage
import Wire

enum AlarmTable {
    private static let columns = "account, region, name, revision, document, state"

    static func get(_ key: AlarmKey, in transaction: any ReadTransaction) throws -> Alarm? {
        try transaction.first(
            "SELECT \(columns) FROM cloudwatch_alarm WHERE account = ? AND region = ? AND name = ?", values(key), alarm
        ) ?? nil
    }

    /// Writes an alarm, with a new revision.
    static func put(_ alarm: Alarm, in transaction: any WriteTransaction) throws {
        var document: Fields = ["Configured": .int(alarm.configured.nanoseconds)]
        document["Input"] = alarm.input.value
        document["Tags"] = alarm.tags.isEmpty ? nil : .map(alarm.tags)
        try transaction.execute(
            """
            INSERT INTO cloudwatch_alarm (account, region, name, revision, is_fast, namespace, metric, document, state)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (account, region, name) DO UPDATE SET revision = excluded.revision, is_fast = excluded.is_fast,
            namespace = excluded.namespace, metric = excluded.metric, document = excluded.document,
            state = excluded.state
            """,
            values(alarm.key) + [
                .int(alarm.revision + 1), .bool(alarm.isFast), .optional(alarm.metric?.namespace),
                .optional(alarm.metric?.name), .blob(JSON.encode(.map(document))), .blob(encoded(alarm.state)),
            ])
    }

    /// Whether it was there.
    static func delete(_ key: AlarmKey, in transaction: any WriteTransaction) throws -> Bool {
        try transaction.execute(
            "DELETE FROM cloudwatch_alarm WHERE account = ? AND region = ? AND name = ?", values(key)) > 0
    }

    static func count(_ scope: AccountRegion, in transaction: any ReadTransaction) throws -> Int64 {
        try transaction.first(
            "SELECT COUNT(*) FROM cloudwatch_alarm WHERE account = ? AND region = ?",
            [.text(scope.account), .text(scope.region)]
        ) { $0.int(0) } ?? 0
    }

    /// Alarms behind a name, in order.
    static func list(
        _ scope: AccountRegion, after name: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Alarm] {
        try transaction.query(
            """
            SELECT \(columns) FROM cloudwatch_alarm WHERE account = ? AND region = ? AND name > ?
            ORDER BY name LIMIT ?
            """, [.text(scope.account), .text(scope.region), .text(name), .int(Int64(limit))], alarm
        ).compactMap { $0 }
    }

    /// Alarms of a metric by its namespace and name, whatever its dimensions.
    static func list(
        _ scope: AccountRegion, namespace: String, metric: String, limit: Int, in transaction: any ReadTransaction
    ) throws -> [Alarm] {
        try transaction.query(
            """
            SELECT \(columns) FROM cloudwatch_alarm
            WHERE account = ? AND region = ? AND namespace = ? AND metric = ? ORDER BY name LIMIT ?
            """,
            [
                .text(scope.account), .text(scope.region), .text(namespace), .text(metric), .int(Int64(limit)),
            ], alarm
        ).compactMap { $0 }
    }

    /// Alarms of all accounts behind a key, for their evaluation.
    static func due(
        fast: Bool, after key: AlarmKey?, limit: Int, in transaction: any ReadTransaction
    ) throws -> (alarms: [Alarm], last: AlarmKey?) {
        let start = key.map(values) ?? [.text(""), .text(""), .text("")]
        let condition = fast ? "is_fast = 1" : "is_fast = 0"
        var last: AlarmKey?
        let rows = try transaction.query(
            """
            SELECT \(columns) FROM cloudwatch_alarm WHERE \(condition) AND (account, region, name) > (?, ?, ?)
            ORDER BY account, region, name LIMIT ?
            """, start + [.int(Int64(limit))]
        ) { row in
            last = AlarmKey(scope: AccountRegion(account: row.text(0), region: row.text(1)), name: row.text(2))
            return alarm(row)
        }
        return (rows.compactMap { $0 }, rows.count < limit ? nil : last)
    }

    /// Whether there is any alarm; with periods below a minute, or at all.
    static func any(fast: Bool, in transaction: any ReadTransaction) throws -> Bool {
        try transaction.first(
            fast
                ? "SELECT 1 FROM cloudwatch_alarm WHERE is_fast = 1 LIMIT 1" : "SELECT 1 FROM cloudwatch_alarm LIMIT 1"
        ) { _ in true } ?? false
    }

    private static func values(_ key: AlarmKey) -> [SQLValue] {
        [.text(key.scope.account), .text(key.scope.region), .text(key.name)]
    }

    /// nil for a row that cannot be read: it is passed over.
    private static func alarm(_ row: any Row) -> Alarm? {
        let key = AlarmKey(scope: AccountRegion(account: row.text(0), region: row.text(1)), name: row.text(2))
        guard let document = (try? JSON.parse(row.blob(4)))?.fields, let input = document["Input"],
            let state = state(row.blob(5))
        else { return nil }
        var alarm = try? Alarm(
            key: key, Model.PutMetricAlarmInput(input), tags: document["Tags"]?.fields ?? [:],
            configured: Instant(nanoseconds: document["Configured"]?.int ?? 0), state: state)
        alarm?.revision = row.int(3)
        return alarm
    }

    private static func encoded(_ state: AlarmState) -> [UInt8] {
        var fields: Fields = ["Value": .string(state.value.rawValue), "Reason": .string(state.reason)]
        fields["Data"] = state.reasonData.map { .string($0) }
        fields["Updated"] = .int(state.updated.nanoseconds)
        fields["Transitioned"] = .int(state.transitioned.nanoseconds)
        return JSON.encode(.map(fields))
    }

    private static func state(_ bytes: [UInt8]) -> AlarmState? {
        guard let fields = (try? JSON.parse(bytes))?.fields,
            let value = fields["Value"]?.string.flatMap({ StateValue(rawValue: $0) })
        else { return nil }
        return AlarmState(
            value: value, reason: fields["Reason"]?.string ?? "", reasonData: fields["Data"]?.string,
            updated: Instant(nanoseconds: fields["Updated"]?.int ?? 0),
            transitioned: Instant(nanoseconds: fields["Transitioned"]?.int ?? 0))
    }
}
