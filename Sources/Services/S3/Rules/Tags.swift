import Platform
import Wire

/// The tags of a bucket or an object, in the order given.
struct TagSet: Sendable, Hashable {
    struct Tag: Sendable, Hashable {
        var key: String
        var value: String
    }

    /// What is tagged: S3 has other numbers and texts for each.
    enum Subject: Sendable, Hashable {
        case object
        case bucket

        var limit: Int { self == .object ? Limits.objectTags : Limits.bucketTags }
        var tooMany: String {
            self == .object
                ? "Object tags cannot be greater than \(Limits.objectTags)"
                : "Bucket tag count cannot be greater than \(Limits.bucketTags)"
        }
    }

    var tags: [Tag]

    init(_ tags: [Tag] = []) { self.tags = tags }

    var isEmpty: Bool { tags.isEmpty }

    func contains(_ tag: Tag) -> Bool { tags.contains(tag) }

    /// Throws MalformedXML, InvalidTag, BadRequest.
    init(_ tagging: Model.Tagging?, of subject: Subject) throws(AWSError) {
        guard let given = tagging?.tagSet else { throw S3Error.malformedXML }
        tags = []
        for item in given {
            guard let key = item.key, let value = item.value_ else { throw S3Error.malformedXML }
            tags.append(Tag(key: key, value: value))
        }
        try check(subject)
    }

    /// From `x-amz-tagging`: a query string. Throws InvalidArgument, InvalidTag, BadRequest.
    init(header: String) throws(AWSError) {
        tags = []
        for pair in header.split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = halves.first, let key = TagSet.decode(first),
                let value = halves.count == 2 ? TagSet.decode(halves[1]) : "", !key.isEmpty,
                !tags.contains(where: { $0.key == key })
            else {
                throw S3Error.invalidArgument(
                    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without "
                        + "tag name duplicates.", name: "x-amz-tagging", value: header)
            }
            // Counted here, so that a long header is not compared with itself.
            guard tags.count < Limits.objectTags else {
                throw AWSError("BadRequest", status: 400, Subject.object.tooMany)
            }
            tags.append(Tag(key: key, value: value))
        }
        try check(.object)
    }

    private static func decode(_ text: Substring) -> String? {
        FormEncoding.decodePercent(String(text.map { $0 == "+" ? " " : $0 }))
    }

    private func check(_ subject: Subject) throws(AWSError) {
        guard tags.count <= subject.limit else { throw AWSError("BadRequest", status: 400, subject.tooMany) }
        var seen = Set<String>()
        for tag in tags {
            guard (1...Limits.tagKeyCharacters).contains(tag.key.unicodeScalars.count), TagSet.isAllowed(tag.key) else {
                throw TagSet.invalid("The TagKey you have provided is invalid", tag)
            }
            guard tag.value.unicodeScalars.count <= Limits.tagValueCharacters, TagSet.isAllowed(tag.value) else {
                throw TagSet.invalid("The TagValue you have provided is invalid", tag)
            }
            guard !tag.key.hasPrefix("aws:") else {
                throw TagSet.invalid("System tags cannot be added/updated by requester", tag)
            }
            guard seen.insert(tag.key).inserted else {
                throw TagSet.invalid("Cannot provide multiple Tags with the same key", tag)
            }
        }
    }

    private static func invalid(_ text: String, _ tag: Tag) -> AWSError {
        AWSError("InvalidTag", status: 400, text, fields: ["TagKey": .string(tag.key), "TagValue": .string(tag.value)])
    }

    /// Letters, digits and blanks of any script, and `+ - = . _ : / @` (S3 guide, "Object tagging").
    private static func isAllowed(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { scalar in
            if scalar.isASCII {
                let byte = UInt8(truncatingIfNeeded: scalar.value)
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: return true
                default: return " +-=._:/@".utf8.contains(byte)
                }
            }
            switch scalar.properties.generalCategory {
            case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .decimalNumber,
                .letterNumber, .otherNumber, .spaceSeparator, .nonspacingMark, .spacingMark:
                return true
            default: return false
            }
        }
    }

    var output: [Model.Tag] {
        tags.map { tag in
            var item = Model.Tag()
            (item.key, item.value_) = (tag.key, tag.value)
            return item
        }
    }
}
