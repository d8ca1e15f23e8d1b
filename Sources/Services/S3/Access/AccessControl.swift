import Platform
import Wire

/// An access control list: who owns the thing, and who else may do what.
struct AccessControl: Sendable, Hashable {
    enum Permission: String, Sendable, Hashable, CaseIterable {
        case fullControl = "FULL_CONTROL"
        case write = "WRITE"
        case writeACP = "WRITE_ACP"
        case read = "READ"
        case readACP = "READ_ACP"
    }

    enum Grantee: Sendable, Hashable {
        /// A canonical user id.
        case user(String)
        case group(String)

        static let allUsers = Grantee.group("http://acs.amazonaws.com/groups/global/AllUsers")
        static let authenticatedUsers = Grantee.group("http://acs.amazonaws.com/groups/global/AuthenticatedUsers")
        static let logDelivery = Grantee.group("http://acs.amazonaws.com/groups/s3/LogDelivery")
        static let groups = [allUsers, authenticatedUsers, logDelivery]
    }

    struct Grant: Sendable, Hashable {
        var grantee: Grantee
        var permission: Permission
    }

    /// Canonical user id.
    var owner: String
    var grants: [Grant]

    /// Only the owner.
    init(owner: String) {
        self.owner = owner
        grants = [Grant(grantee: .user(owner), permission: .fullControl)]
    }

    init(owner: String, grants: [Grant]) {
        self.owner = owner
        self.grants = grants
    }

    /// A canned list. `bucketOwner` is a canonical user id. Throws InvalidArgument.
    init(canned: String, owner: String, bucketOwner: String) throws(AWSError) {
        self.init(owner: owner)
        switch canned {
        case "private", "aws-exec-read": break
        case "public-read": add(.allUsers, .read)
        case "public-read-write":
            add(.allUsers, .read)
            add(.allUsers, .write)
        case "authenticated-read": add(.authenticatedUsers, .read)
        case "bucket-owner-read": if bucketOwner != owner { add(.user(bucketOwner), .read) }
        case "bucket-owner-full-control": if bucketOwner != owner { add(.user(bucketOwner), .fullControl) }
        case "log-delivery-write":
            add(.logDelivery, .write)
            add(.logDelivery, .readACP)
        default: throw S3Error.invalidArgument("", name: "x-amz-acl", value: canned)
        }
    }

    private mutating func add(_ grantee: Grantee, _ permission: Permission) {
        grants.append(Grant(grantee: grantee, permission: permission))
    }

    /// Whether everybody, or everybody with an account, may anything.
    var isPublic: Bool { grants.contains { $0.grantee == .allUsers || $0.grantee == .authenticatedUsers } }

    /// Whether a caller may. `user` is its canonical id; nil: anonymous. `ignoresPublic`: by the public-access block.
    func allows(_ permission: Permission, user: String?, ignoresPublic: Bool) -> Bool {
        grants.contains { grant in
            guard grant.permission == permission || grant.permission == .fullControl else { return false }
            switch grant.grantee {
            case .user(let id): return id == user
            case .allUsers: return !ignoresPublic
            case .authenticatedUsers: return !ignoresPublic && user != nil
            case .group: return false
            }
        }
    }

    // MARK: Stored form

    func pack(into packer: inout Packer) {
        packer.text(owner)
        packer.int(Int64(grants.count))
        for grant in grants {
            switch grant.grantee {
            case .user(let id):
                packer.int(0)
                packer.text(id)
            case .group(let uri):
                packer.int(1)
                packer.text(uri)
            }
            packer.text(grant.permission.rawValue)
        }
    }

    init(from unpacker: inout Unpacker) throws {
        owner = try unpacker.text()
        grants = []
        for _ in 0..<(try unpacker.count()) {
            let isGroup = try unpacker.int() == 1
            let name = try unpacker.text()
            guard let permission = Permission(rawValue: try unpacker.text()) else {
                throw Failure(.corrupt, "an access control list has an unknown permission")
            }
            grants.append(Grant(grantee: isGroup ? .group(name) : .user(name), permission: permission))
        }
    }
}

// MARK: What clients send

extension AccessControl {
    /// The five `x-amz-grant-…` members; nil when there is none. Throws InvalidArgument.
    init?(
        fullControl: String?, read: String?, readACP: String?, write: String?, writeACP: String?, owner: String
    ) throws(AWSError) {
        let given: [(String, Permission, String?)] = [
            ("x-amz-grant-full-control", .fullControl, fullControl), ("x-amz-grant-read", .read, read),
            ("x-amz-grant-read-acp", .readACP, readACP), ("x-amz-grant-write", .write, write),
            ("x-amz-grant-write-acp", .writeACP, writeACP),
        ]
        guard given.contains(where: { $0.2 != nil }) else { return nil }
        self.init(owner: owner, grants: [])
        for (header, permission, text) in given {
            for item in (text ?? "").split(separator: ",") {
                add(try Grantee(header: String(item).trimmed, in: header), permission)
            }
        }
        try checkCount()
    }

    /// The XML form. Throws MalformedACLError, InvalidArgument.
    init(_ policy: Model.AccessControlPolicy, owner: String) throws(AWSError) {
        guard let given = policy.grants, policy.owner?.id != nil else { throw AccessControl.malformed }
        guard policy.owner?.id == owner else { throw S3Error.accessDenied }
        self.init(owner: owner, grants: [])
        for item in given {
            guard let permission = item.permission.flatMap({ Permission(rawValue: $0) }), let grantee = item.grantee
            else { throw AccessControl.malformed }
            add(try Grantee(grantee), permission)
        }
        try checkCount()
    }

    private func checkCount() throws(AWSError) {
        guard grants.count <= Limits.grants else { throw AccessControl.malformed }
    }

    fileprivate static let malformed = AWSError(
        "MalformedACLError", status: 400,
        "The XML you provided was not well-formed or did not validate against our published schema")

    var output: [Model.Grant] {
        grants.map { grant in
            var grantee = Model.Grantee()
            switch grant.grantee {
            case .user(let id): (grantee.id, grantee.type) = (id, "CanonicalUser")
            case .group(let uri): (grantee.uri, grantee.type) = (uri, "Group")
            }
            var item = Model.Grant()
            (item.grantee, item.permission) = (grantee, grant.permission.rawValue)
            return item
        }
    }
}

extension AccessControl.Grantee {
    /// `id="…"`, `uri="…"`, `emailAddress="…"`.
    fileprivate init(header item: String, in header: String) throws(AWSError) {
        let halves = item.split(separator: "=", maxSplits: 1)
        guard halves.count == 2 else {
            throw S3Error.invalidArgument("Argument format not recognized", name: header, value: item)
        }
        let value = String(halves[1]).trimmed.filter { $0 != "\"" }
        switch String(halves[0]).trimmed {
        case "id": self = try .user(id: value)
        case "uri": self = try .group(uri: value)
        case "emailAddress": throw AccessControl.Grantee.unresolvable(value)
        default: throw S3Error.invalidArgument("Argument format not recognized", name: header, value: item)
        }
    }

    fileprivate init(_ grantee: Model.Grantee) throws(AWSError) {
        switch grantee.type {
        case "CanonicalUser": self = try .user(id: grantee.id ?? "")
        case "Group": self = try .group(uri: grantee.uri ?? "")
        case "AmazonCustomerByEmail": throw AccessControl.Grantee.unresolvable(grantee.emailAddress ?? "")
        default: throw AccessControl.malformed
        }
    }

    private static func user(id: String) throws(AWSError) -> AccessControl.Grantee {
        guard id.utf8.count == 64, id.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        else { throw S3Error.invalidArgument("Invalid id", name: "CanonicalUser/ID", value: id) }
        return .user(id)
    }

    private static func group(uri: String) throws(AWSError) -> AccessControl.Grantee {
        guard groups.contains(.group(uri)) else {
            throw S3Error.invalidArgument("Invalid group uri", name: "uri", value: uri)
        }
        return .group(uri)
    }

    /// Accounts have no e-mail addresses here.
    private static func unresolvable(_ address: String) -> AWSError {
        AWSError(
            "UnresolvableGrantByEmailAddress", status: 400,
            "The e-mail address you provided does not match any account on record.",
            fields: ["EmailAddress": .string(address)])
    }
}
