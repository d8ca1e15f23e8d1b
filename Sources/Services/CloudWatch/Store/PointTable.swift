import Platform
import Storage

enum PointTable {
    private static let columns = "resolution, time, unit, count, sum, minimum, maximum"

    /// Adds a point to what is already there.
    static func add(
        _ point: StatisticPoint, to metric: Int64, at place: PointPlace, in transaction: any WriteTransaction
    ) throws {
        var whole = point
        let old = try transaction.first(
            """
            SELECT \(columns), spread FROM cloudwatch_point
            WHERE metric = ? AND resolution = ? AND time = ? AND unit = ?
            """, [.int(metric), .int(place.resolution), .int(place.time), .int(place.unit)]
        ) { Self.point($0, withSpread: true) }
        if var old {
            old.merge(point)
            whole = old
        }
        var spread = SQLValue.null
        if case .known(let distribution) = whole.spread { spread = .blob(distribution.encoded()) }
        try transaction.execute(
            """
            INSERT INTO cloudwatch_point (metric, resolution, time, unit, count, sum, minimum, maximum, spread)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (metric, resolution, time, unit) DO UPDATE SET count = excluded.count, sum = excluded.sum,
            minimum = excluded.minimum, maximum = excluded.maximum, spread = excluded.spread
            """,
            [
                .int(metric), .int(place.resolution), .int(place.time), .int(place.unit), .double(whole.count),
                .double(whole.sum), .double(whole.minimum), .double(whole.maximum), spread,
            ])
    }

    /// Every point of a metric that begins from `start` to before `end` (seconds), of all resolutions, each with its place.
    static func each(
        of metric: Int64, from start: Int64, to end: Int64, unit: Int64?, withSpread: Bool,
        in transaction: any ReadTransaction, _ body: (PointPlace, StatisticPoint) -> Void
    ) throws {
        let spread = withSpread ? ", spread" : ""
        for (resolution, _) in Limits.retention {
            _ = try transaction.query(
                """
                SELECT \(columns)\(spread) FROM cloudwatch_point
                WHERE metric = ? AND resolution = ? AND time >= ? AND time < ?
                """, [.int(metric), .int(resolution), .int(start), .int(end)]
            ) { row in
                if let unit, row.int(2) != unit { return }
                let place = PointPlace(seconds: row.int(1), resolution: resolution, unit: row.int(2))
                body(place, point(row, withSpread: withSpread))
            }
        }
    }

    private static func point(_ row: any Row, withSpread: Bool) -> StatisticPoint {
        var point = StatisticPoint(
            count: row.double(3), sum: row.double(4), minimum: row.double(5), maximum: row.double(6))
        if withSpread, !row.isNull(7), let distribution = Distribution(encoded: row.blob(7)) {
            point.spread = .known(distribution)
        }
        return point
    }

    // MARK: Upkeep

    /// Whether a metric has points of a resolution from before `time`.
    static func hasOld(
        _ metric: Int64, resolution: Int64, before time: Int64, in transaction: any ReadTransaction
    ) throws -> Bool {
        try transaction.first(
            "SELECT 1 FROM cloudwatch_point WHERE metric = ? AND resolution = ? AND time < ? LIMIT 1",
            [.int(metric), .int(resolution), .int(time)]
        ) { _ in true } ?? false
    }

    /// Moves points of a resolution from before `time` into those of the next, or away when there is none; answers how many.
    static func roll(
        _ metric: Int64, resolution: Int64, before time: Int64, into next: Int64?, limit: Int,
        in transaction: any WriteTransaction
    ) throws -> Int {
        let old = try transaction.query(
            """
            SELECT \(columns), spread FROM cloudwatch_point WHERE metric = ? AND resolution = ? AND time < ?
            ORDER BY time LIMIT ?
            """, [.int(metric), .int(resolution), .int(time), .int(Int64(limit))]
        ) { (time: $0.int(1), unit: $0.int(2), point: point($0, withSpread: true)) }
        if let next {
            var rolled: [PointPlace: StatisticPoint] = [:]
            for one in old {
                let place = PointPlace(seconds: one.time, resolution: next, unit: one.unit)
                if rolled[place] == nil { rolled[place] = one.point } else { rolled[place]?.merge(one.point) }
            }
            for (place, point) in rolled { try add(point, to: metric, at: place, in: transaction) }
        }
        for one in old {
            try transaction.execute(
                "DELETE FROM cloudwatch_point WHERE metric = ? AND resolution = ? AND time = ? AND unit = ?",
                [.int(metric), .int(resolution), .int(one.time), .int(one.unit)])
        }
        return old.count
    }
}
