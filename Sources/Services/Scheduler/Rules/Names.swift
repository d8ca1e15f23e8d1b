import Platform
import Storage

struct GroupKey: Sendable, Hashable {
    var scope: AccountRegion
    var name: String

    static let defaultName = "default"

    var arn: String { "arn:aws:scheduler:\(scope.region):\(scope.account):schedule-group/\(name)" }
    /// As the first parameters of every statement.
    var values: [SQLValue] { [.text(scope.account), .text(scope.region), .text(name)] }

    init(scope: AccountRegion, name: String?) {
        self.scope = scope
        self.name = name ?? Self.defaultName
    }

    init?(arn text: String) {
        guard let arn = ARN(text), arn.service == "scheduler", arn.resource.hasPrefix("schedule-group/") else {
            return nil
        }
        self.init(
            scope: AccountRegion(account: arn.account, region: arn.region),
            name: String(arn.resource.dropFirst("schedule-group/".count)))
    }
}

struct ScheduleKey: Sendable, Hashable {
    var group: GroupKey
    var name: String

    var arn: String {
        "arn:aws:scheduler:\(group.scope.region):\(group.scope.account):schedule/\(group.name)/\(name)"
    }
    var values: [SQLValue] { group.values + [.text(name)] }
}
