import Crypto
import Platform
import Storage
import Wire

/// An access point of a bucket, or an Object Lambda access point.
struct AccessPoint: Sendable {
    enum Kind: Int64, Sendable {
        case bucket = 0
        case objectLambda = 1

        /// The service part of its ARNs.
        var service: String { self == .bucket ? "s3" : "s3-object-lambda" }
        var aliasSuffix: String { self == .bucket ? "-s3alias" : "--ol-s3" }
    }

    struct Key: Sendable, Hashable {
        var scope: AccountRegion
        var kind: Kind
        var name: String

        var arn: String {
            ARN(service: kind.service, region: scope.region, account: scope.account, resource: "accesspoint/\(name)")
                .description
        }

        init(scope: AccountRegion, kind: Kind, name: String) {
            self.scope = scope
            self.kind = kind
            self.name = name
        }

        /// Of an ARN; nil when it names no access point.
        init?(arn text: String) {
            guard let arn = ARN(text), !arn.region.isEmpty, arn.account.utf8.count == 12 else { return nil }
            let kind: Kind
            switch arn.service {
            case "s3": kind = .bucket
            case "s3-object-lambda": kind = .objectLambda
            default: return nil
            }
            // The separator was a colon once, and still may be.
            guard arn.resource.hasPrefix("accesspoint/") || arn.resource.hasPrefix("accesspoint:") else { return nil }
            let name = String(arn.resource.dropFirst("accesspoint/".count))
            guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "/")) else { return nil }
            self.init(scope: AccountRegion(account: arn.account, region: arn.region), kind: kind, name: name)
        }
    }

    var key: Key
    /// Empty for an Object Lambda access point.
    var bucket: String
    var alias: String
    var created: Instant
    /// BucketAccount, VpcId, PublicAccessBlock, Policy, Tags, Configuration.
    var document: Fields

    var policy: String? {
        get { document["Policy"]?.string }
        set { document["Policy"] = newValue.map { .string($0) } }
    }

    var tags: Fields {
        get { document["Tags"]?.fields ?? [:] }
        set { document["Tags"] = newValue.isEmpty ? nil : .map(newValue) }
    }

    /// Of an Object Lambda access point.
    var configuration: ObjectLambdaSettings? { document["Configuration"].map { ObjectLambdaSettings($0) } }

    /// The name under which the access point can be used where a bucket's name is expected: the beginning of its name, 34
    /// characters that follow from ARN and time of creation, and the kind's suffix, at most 63 altogether.
    static func makeAlias(_ key: Key, created: Instant) -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
        let digest = Array(SHA512.hash(data: Array("\(key.arn) \(created.nanoseconds)".utf8)))
        let unique = String(decoding: digest.prefix(34).map { alphabet[Int($0 & 31)] }, as: UTF8.self)
        let room = 63 - 1 - unique.utf8.count - key.kind.aliasSuffix.utf8.count
        var name = String(key.name.prefix(room))
        while name.hasSuffix("-") { name.removeLast() }
        return "\(name)-\(unique)\(key.kind.aliasSuffix)"
    }
}

/// What an Object Lambda access point does.
struct ObjectLambdaSettings: Sendable {
    struct Transformation: Sendable {
        var functionARN: String
        /// Given to the function as it is.
        var payload: String?
    }

    /// The configuration as it was given.
    let value: Value
    init(_ value: Value) { self.value = value }

    private var model: ControlModel.ObjectLambdaConfiguration { ControlModel.ObjectLambdaConfiguration(value) }

    var supportingAccessPoint: AccessPoint.Key? {
        model.supportingAccessPoint.flatMap { AccessPoint.Key(arn: $0) }
    }

    /// `GetObject-Range` and the like.
    func allows(_ feature: String) -> Bool { model.allowedFeatures?.contains(feature) == true }

    /// The function for an operation; nil when it passes through as it is.
    func transformation(of operation: String) -> Transformation? {
        for item in model.transformationConfigurations ?? [] where item.actions?.contains(operation) == true {
            guard let function = item.contentTransformation?.awsLambda, let arn = function.functionArn else { continue }
            return Transformation(functionARN: arn, payload: function.functionPayload)
        }
        return nil
    }
}

/// What stands in a request where a bucket's name is expected.
enum BucketReference {
    /// Whether it may be an access point; false for nearly all buckets' names.
    static func mayBeAccessPoint(_ name: String) -> Bool {
        name.hasPrefix("arn:") || name.hasSuffix("-s3alias") || name.hasSuffix("--ol-s3") || hostLabel(name) != nil
    }

    /// `NAME-ACCOUNT`, the label that SDKs make of an access point's ARN when they are given an endpoint; it could be a
    /// bucket's name too.
    static func hostLabel(_ name: String) -> (name: String, account: String)? {
        let bytes = name.utf8
        guard bytes.count > 13, bytes[bytes.index(bytes.endIndex, offsetBy: -13)] == UInt8(ascii: "-"),
            bytes.suffix(12).allSatisfy({ (0x30...0x39).contains($0) })
        else { return nil }
        return (String(name.dropLast(13)), String(name.suffix(12)))
    }
}
