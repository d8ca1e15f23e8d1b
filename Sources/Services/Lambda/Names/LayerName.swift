import Platform

/// A layer's version named by ARN: `arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION`.
struct LayerVersionName: Sendable, Hashable {
    var scope: AccountRegion
    var name: String
    var version: Int64

    /// Nil when it is not the ARN of a layer's version.
    init?(arn text: String) {
        guard let arn = ARN(text), arn.service == "lambda" else { return nil }
        let parts = arn.resource.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "layer", !parts[1].isEmpty, let version = Int64(parts[2]), version >= 0
        else { return nil }
        scope = AccountRegion(account: arn.account, region: arn.region)
        name = String(parts[1])
        self.version = version
    }

    init(scope: AccountRegion, name: String, version: Int64) {
        self.scope = scope
        self.name = name
        self.version = version
    }

    var layerARN: String { scope.layerARN(name) }
    var arn: String { scope.layerARN(name, version: version) }
}

/// A layer as `LayerName` parameters give it: a bare name or the layer's ARN.
struct LayerName: Sendable, Hashable {
    var scope: AccountRegion
    var name: String

    init(_ text: String, in scope: AccountRegion) {
        if let arn = ARN(text), arn.service == "lambda", arn.resource.hasPrefix("layer:") {
            self.scope = AccountRegion(account: arn.account, region: arn.region)
            name = String(arn.resource.dropFirst("layer:".count))
        } else {
            self.scope = scope
            name = text
        }
    }
}
