import Crypto
import Platform
import Wire

/// Decides what a CompleteMultipartUpload makes of the parts that were uploaded. Pure.
struct Completion: Sendable {
    /// One line of the client's list.
    struct Claim: Sendable, Hashable {
        var number: Int
        var etag: String
        /// Base64 by algorithm name, as given.
        var checksums: [String: String]
    }

    /// What the request says of the whole.
    struct Request: Sendable {
        var uploadID: String
        var claims: [Claim]
        /// The object's checksum by algorithm name, from headers.
        var checksums: [String: String] = [:]
        var checksumType: String?
        var size: Int64?
    }

    var etag: String
    var size: Int64
    var checksum: StoredChecksum
    /// The object's parts in order.
    var parts: [StoredPart]
    /// Uploaded, but not claimed.
    var unused: [StoredPart]

    /// Throws MalformedXML, InvalidPartOrder, InvalidPart, EntityTooSmall, InvalidRequest, BadDigest.
    init(
        _ request: Request, plan: UploadChecksumPlan, uploaded: [UploadedPart],
        smallestPart: Int64 = Limits.smallestPartBytes
    ) throws(AWSError) {
        let claims = request.claims
        guard !claims.isEmpty, claims.count <= Limits.parts else { throw S3Error.malformedXML }
        for (a, b) in zip(claims, claims.dropFirst()) where a.number >= b.number {
            throw AWSError(
                "InvalidPartOrder", status: 400,
                "The list of parts was not in ascending order. Parts must be ordered by part number.",
                fields: ["UploadId": .string(request.uploadID)])
        }
        var byNumber: [Int: UploadedPart] = [:]
        for part in uploaded { byNumber[part.number] = part }
        var chosen: [UploadedPart] = []
        for claim in claims {
            guard let part = byNumber.removeValue(forKey: claim.number), EntityTags.bare(claim.etag) == part.etag else {
                throw Completion.invalidPart(claim, request)
            }
            try Completion.check(claim, part, plan, request)
            chosen.append(part)
        }
        for (part, claim) in zip(chosen, claims).dropLast() where part.size < smallestPart {
            throw AWSError(
                "EntityTooSmall", status: 400, "Your proposed upload is smaller than the minimum allowed size",
                fields: [
                    "ProposedSize": .string(String(part.size)),
                    "MinSizeAllowed": .string(String(smallestPart)),
                    "PartNumber": .string(String(claim.number)), "ETag": .string(part.etag),
                ])
        }
        size = chosen.reduce(0) { $0 + $1.size }
        parts = chosen.map(\.part)
        unused = byNumber.values.map(\.part)
        etag = Completion.etag(chosen)
        checksum = plan.combine(chosen.map { ($0.part.checksum, $0.size) })
        try checkWhole(request, plan)
    }

    private static func invalidPart(_ claim: Claim, _ request: Request) -> AWSError {
        AWSError(
            "InvalidPart", status: 400,
            "One or more of the specified parts could not be found.  The part may not have been uploaded, or the "
                + "specified entity tag may not match the part's entity tag.",
            fields: [
                "UploadId": .string(request.uploadID), "PartNumber": .string(String(claim.number)),
                "ETag": .string(EntityTags.bare(claim.etag)),
            ])
    }

    /// A part's checksum: must be there for composite uploads that named an algorithm, and must be right where it is.
    private static func check(_ claim: Claim, _ part: UploadedPart, _ plan: UploadChecksumPlan, _ request: Request)
        throws(AWSError)
    {
        guard let given = claim.checksums[plan.algorithm.rawValue] else {
            guard !plan.isExplicit || plan.kind == .fullObject else {
                throw S3Error.invalidRequest(
                    "The upload was created using a \(plan.algorithm.rawValue.lowercased()) checksum. The complete "
                        + "request must include the checksum for each part. It was missing for part \(claim.number) in "
                        + "the request.")
            }
            return
        }
        guard given == Base64.encode(part.part.checksum) else { throw invalidPart(claim, request) }
    }

    /// MD5 over the parts' MD5 sums, and their number.
    private static func etag(_ parts: [UploadedPart]) -> String {
        var md5 = Insecure.MD5()
        for part in parts { md5.update(data: rawDigest(hex: part.etag)) }
        return hexEncoded(md5.finalize()) + "-\(parts.count)"
    }

    private func checkWhole(_ request: Request, _ plan: UploadChecksumPlan) throws(AWSError) {
        if let type = request.checksumType, type.uppercased() != plan.kind.rawValue {
            throw S3Error.invalidRequest(
                "The upload was created using the \(plan.kind.rawValue) checksum mode. The complete request must use the "
                    + "same checksum mode.")
        }
        if let claimed = request.size, claimed != size {
            throw S3Error.invalidRequest(
                "The provided 'x-amz-mp-object-size' header value \(claimed) does not match what was computed: \(size)")
        }
        guard let given = request.checksums[plan.algorithm.rawValue] else { return }
        let bare = checksum.value.prefix { $0 != "-" }
        guard given == checksum.value || (plan.kind == .composite && given == bare) else {
            throw AWSError(
                "BadDigest", status: 400,
                "The \(plan.algorithm.rawValue.lowercased()) you specified did not match the calculated checksum.")
        }
    }
}

/// Bytes from hexadecimal digits in lower case; other characters are ours never to write.
func rawDigest(hex: String) -> [UInt8] {
    var out: [UInt8] = []
    var high: UInt8?
    for character in hex.utf8 {
        let digit = (character <= 57 ? character &- 48 : character &- 87) & 15
        if let upper = high {
            out.append(upper << 4 | digit)
            high = nil
        } else {
            high = digit
        }
    }
    return out
}
