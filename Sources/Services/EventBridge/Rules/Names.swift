import Platform
import Storage
import Wire

/// An event bus's name in its account and Region.
struct BusKey: Sendable, Hashable {
    var scope: AccountRegion
    var name: String

    static let defaultName = "default"

    var isDefault: Bool { name == Self.defaultName }
    var arn: String { "arn:aws:events:\(scope.region):\(scope.account):event-bus/\(name)" }
    /// As the first parameters of every statement.
    var values: [SQLValue] { [.text(scope.account), .text(scope.region), .text(name)] }

    init(scope: AccountRegion, name: String) {
        self.scope = scope
        self.name = name
    }

    /// A bus by its name or ARN; nil is the default bus.
    init(_ nameOrARN: String?, in scope: AccountRegion) {
        guard let text = nameOrARN else {
            self.init(scope: scope, name: Self.defaultName)
            return
        }
        self = BusKey(arn: text) ?? BusKey(scope: scope, name: text)
    }

    init?(arn text: String) {
        guard let arn = ARN(text), arn.service == "events", arn.resource.hasPrefix("event-bus/") else { return nil }
        let name = arn.resource.dropFirst("event-bus/".count)
        guard !name.isEmpty else { return nil }
        self.init(scope: AccountRegion(account: arn.account, region: arn.region), name: String(name))
    }
}

struct RuleKey: Sendable, Hashable {
    var bus: BusKey
    var name: String

    var arn: String {
        let path = bus.isDefault ? name : "\(bus.name)/\(name)"
        return "arn:aws:events:\(bus.scope.region):\(bus.scope.account):rule/\(path)"
    }
    var values: [SQLValue] { bus.values + [.text(name)] }

    init(bus: BusKey, name: String) {
        self.bus = bus
        self.name = name
    }

    /// `rule/NAME` of the default bus, `rule/BUS/NAME` of another.
    init?(arn text: String) {
        guard let arn = ARN(text), arn.service == "events", arn.resource.hasPrefix("rule/") else { return nil }
        let path = arn.resource.dropFirst("rule/".count)
        let scope = AccountRegion(account: arn.account, region: arn.region)
        // A bus's name may have slashes, a rule's has none.
        guard let slash = path.lastIndex(of: "/") else {
            self.init(bus: BusKey(scope: scope, name: BusKey.defaultName), name: String(path))
            return
        }
        self.init(
            bus: BusKey(scope: scope, name: String(path[..<slash])), name: String(path[path.index(after: slash)...]))
    }
}
