import Contracts
import Platform
import Testing
import Wire

@testable import S3

/// A small model of versions of one key, to compare the store with.
private struct Model1 {
    struct Version: Equatable {
        var id: String
        /// Nil: a delete marker.
        var text: String?
    }
    /// Newest first.
    var versions: [Version] = []
    var versioning = "never"

    mutating func place(_ text: String?, id: String) {
        if versioning != "Enabled" { versions.removeAll { $0.id == "null" } }
        versions.insert(Version(id: id, text: text), at: 0)
    }
}

@Suite struct Versions {
    private func enable(_ harness: Harness, _ status: String) async throws {
        try await harness.call(
            "PutBucketVersioning", ["Bucket": "bucket", "VersioningConfiguration": ["Status": .string(status)]])
    }

    private func delete(_ harness: Harness, _ key: String, _ version: String? = nil) async throws -> Answer {
        var input: Value = ["Bucket": "bucket", "Key": .string(key)]
        if let version { input["VersionId"] = .string(version) }
        return try await harness.call("DeleteObject", input)
    }

    private func listed(_ harness: Harness, pageSize: Int = 1000) async throws -> [(
        id: String, marker: Bool, latest: Bool
    )] {
        var all: [(id: String, marker: Bool, latest: Bool, key: String)] = []
        var (key, version): (Value?, Value?)
        while true {
            var input: Value = ["Bucket": "bucket", "MaxKeys": .int(Int64(pageSize))]
            if let key { input["KeyMarker"] = key }
            if let version { input["VersionIdMarker"] = version }
            let page = try await harness.call("ListObjectVersions", input)
            for (member, marker) in [("Versions", false), ("DeleteMarkers", true)] {
                for item in page[member]?.list ?? [] {
                    all.append(
                        (
                            item["VersionId"]?.string ?? "", marker, item["IsLatest"]?.bool ?? false,
                            item["Key"]?.string ?? ""
                        ))
                }
            }
            guard page["IsTruncated"]?.bool == true else { break }
            (key, version) = (page["NextKeyMarker"], page["NextVersionIdMarker"])
        }
        return all.map { ($0.id, $0.marker, $0.latest) }
    }

    @Test func overwritingKeepsVersions() async throws {
        let harness = try Harness()
        try await harness.makeBucket()
        try await harness.put("k", "before")
        try await enable(harness, "Enabled")
        let one = try await harness.put("k", "one")["VersionId"]?.string ?? ""
        let two = try await harness.put("k", "two")["VersionId"]?.string ?? ""
        #expect(one.count == 32 && one != two)
        #expect(try await harness.get("k").text == "two")
        #expect(try await harness.get("k", ["VersionId": .string(one)]).text == "one")
        #expect(try await harness.get("k", ["VersionId": "null"]).text == "before")
        let marker = try await delete(harness, "k")
        #expect(marker["DeleteMarker"]?.bool == true)
        let error = await harness.error("GetObject", ["Bucket": "bucket", "Key": "k"])
        #expect(error?.code == "NoSuchKey")
        #expect(error?.headers.contains { $0.name == "x-amz-delete-marker" && $0.value == "true" } == true)
        let named = await harness.error(
            "GetObject", ["Bucket": "bucket", "Key": "k", "VersionId": marker["VersionId"] ?? .null])
        #expect(named?.code == "MethodNotAllowed" && named?.status == 405)
        // Deleting the marker brings the newest version back.
        _ = try await delete(harness, "k", marker["VersionId"]?.string)
        #expect(try await harness.get("k").text == "two")
        _ = try await delete(harness, "k", two)
        #expect(try await harness.get("k").text == "one")
        #expect(try await harness.references() == 2)
        #expect(await harness.error("DeleteBucket", ["Bucket": "bucket"])?.code == "BucketNotEmpty")
        _ = try await delete(harness, "k", one)
        _ = try await delete(harness, "k", "null")
        #expect(try await harness.references() == 0)
        try await harness.call("DeleteBucket", ["Bucket": "bucket"])
    }

    @Test func wrongIDs() async throws {
        let harness = try Harness()
        try await harness.makeBucket()
        try await enable(harness, "Enabled")
        try await harness.put("k", "x")
        let bad = await harness.error("GetObject", ["Bucket": "bucket", "Key": "k", "VersionId": "no"])
        #expect(bad?.code == "InvalidArgument")
        let other = VersionID.make(rank: 5)
        let unknown = await harness.error(
            "GetObject", ["Bucket": "bucket", "Key": "k", "VersionId": .string(other)])
        #expect(unknown?.code == "NoSuchVersion" && unknown?.status == 404)
        // Deleting what is not there succeeds.
        _ = try await delete(harness, "k", other)
        #expect(try await harness.get("k").text == "x")
    }

    /// Random histories of one key, against the model: every version readable, order and latest right, no blob leaked.
    @Test(arguments: 0..<12) func histories(seed: UInt64) async throws {
        var random = SeededGenerator(seed: 7_000 + seed)
        let harness = try Harness()
        try await harness.makeBucket()
        var model = Model1()
        for step in 0..<60 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                let text = "text \(step % 7)"
                let id = try await harness.put("k", text)["VersionId"]?.string ?? "null"
                model.place(text, id: id)
            case 4..<6:
                let answer = try await delete(harness, "k")
                if model.versioning == "never" {
                    model.versions = []
                } else {
                    model.place(nil, id: answer["VersionId"]?.string ?? "")
                }
            case 6..<9:
                guard let victim = model.versions.randomElement(using: &random) else { continue }
                _ = try await delete(harness, "k", victim.id)
                model.versions.removeAll { $0.id == victim.id }
            default:
                let status = Bool.random(using: &random) ? "Enabled" : "Suspended"
                try await enable(harness, status)
                model.versioning = status
            }
            try await compare(harness, model)
        }
    }

    private func compare(_ harness: Harness, _ model: Model1) async throws {
        for version in model.versions {
            let input: Value = ["Bucket": "bucket", "Key": "k", "VersionId": .string(version.id)]
            if let text = version.text {
                #expect(try await harness.call("GetObject", input).text == text)
            } else {
                #expect(await harness.error("GetObject", input)?.code == "MethodNotAllowed")
            }
        }
        if let text = model.versions.first?.text {
            #expect(try await harness.get("k").text == text)
        } else {
            #expect(await harness.error("GetObject", ["Bucket": "bucket", "Key": "k"])?.code == "NoSuchKey")
        }
        let list = try await listed(harness, pageSize: 3)
        #expect(Set(list.map(\.id)) == Set(model.versions.map(\.id)) && list.count == model.versions.count)
        #expect(list.filter(\.latest).map(\.id) == (model.versions.first.map { [$0.id] } ?? []))
        #expect(try await harness.references() == Int64(model.versions.filter { $0.text != nil }.count))
    }
}
