import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Lambda

@Suite struct LayerTests {
    private func publish(_ house: Harness, name: String = "deps", _ files: [(String, String)]) async throws -> Value {
        try await house.call(
            "PublishLayerVersion",
            [
                "LayerName": .string(name), "Content": ["ZipFile": .blob(ZipWriter(files).bytes())],
                "CompatibleRuntimes": ["python3.13"],
            ]
        ).output
    }

    /// Naming another account's layer by its ARN gives no power over it.
    @Test func layersOfOtherAccountsAreTheirs() async throws {
        let house = try await Harness()
        let arn = try await publish(house, [("python/a.py", "1")])["LayerArn"] ?? ""
        let stranger = "111122223333"
        let version: Fields = ["LayerName": arn, "VersionNumber": 1]
        for operation in ["DeleteLayerVersion", "GetLayerVersionPolicy", "GetLayerVersion"] {
            await #expect(throws: AWSError.self, "\(operation)") {
                try await house.call(operation, .map(version), account: stranger)
            }
        }
        var grant = version
        grant["StatementId"] = "mine"
        grant["Action"] = "lambda:GetLayerVersion"
        grant["Principal"] = "111122223333"
        let statement = grant
        await #expect(throws: AWSError.self) {
            try await house.call("AddLayerVersionPermission", .map(statement), account: stranger)
        }
        _ = try await house.call("AddLayerVersionPermission", .map(statement))
        _ = try await house.call("GetLayerVersion", .map(version), account: stranger)
    }

    @Test func lifecycle() async throws {
        let house = try await Harness()
        let first = try await publish(house, [("python/a.py", "1")])
        #expect(first["Version"] == 1)
        #expect(first["LayerVersionArn"] == "arn:aws:lambda:us-east-1:000000000000:layer:deps:1")
        #expect(first["Content"]?["CodeSize"] != nil)
        let second = try await publish(house, [("python/a.py", "2")])
        #expect(second["Version"] == 2)
        _ = try await house.call("DeleteLayerVersion", ["LayerName": "deps", "VersionNumber": 2])
        _ = try await house.call("DeleteLayerVersion", ["LayerName": "deps", "VersionNumber": 2])
        #expect(try await publish(house, [("python/a.py", "3")])["Version"] == 3, "numbers are not reused")
        let versions = try await house.call("ListLayerVersions", ["LayerName": "deps"]).output
        #expect(versions["LayerVersions"]?.list?.compactMap { $0["Version"]?.int } == [3, 1])
        let layers = try await house.call("ListLayers", ["CompatibleRuntime": "python3.13"]).output
        #expect(layers["Layers"]?.list?.first?["LatestMatchingVersion"]?["Version"] == 3)
        let none = try await house.call("ListLayers", ["CompatibleRuntime": "nodejs22.x"]).output
        #expect(none["Layers"] == [])
        let byARN = try await house.call("GetLayerVersionByArn", ["Arn": first["LayerVersionArn"] ?? ""]).output
        #expect(byARN["Version"] == 1)
        #expect(
            await house.error("GetLayerVersion", ["LayerName": "deps", "VersionNumber": 2])?.message
                == "The resource you requested does not exist.")
        #expect(
            await house.error("GetLayerVersion", ["LayerName": "deps", "VersionNumber": 0])?.message
                == "Layer Version Cannot be less than 1")
    }

    /// Later layers win, and a deleted version goes on working for those who use it.
    @Test func merged() async throws {
        let house = try await Harness()
        let one = try await publish(house, name: "one", [("python/a.py", "1"), ("python/b.py", "1")])
        let two = try await publish(house, name: "two", [("python/b.py", "2")])
        let layers: Value = [one["LayerVersionArn"] ?? "", two["LayerVersionArn"] ?? ""]
        let created = try await house.create("fn", ["Layers": layers])
        #expect(created["Layers"]?.list?.compactMap { $0["Arn"] } == layers.list)
        _ = try await house.call("DeleteLayerVersion", ["LayerName": "one", "VersionNumber": 1])
        _ = try await house.call("UpdateFunctionConfiguration", ["FunctionName": "fn", "Timeout": 9])
        let version = try await house.service.resolve(scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        let directory = try #require(version.layersDirectory)
        #expect(TemporaryDirectory.read(directory + "/python/a.py") == "1")
        #expect(TemporaryDirectory.read(directory + "/python/b.py") == "2")
        // Lost from disk, made again from the blobs.
        Directory.removeTree(directory)
        Directory.removeTree(version.codeDirectory)
        try await house.settle()
        let again = try await house.service.resolve(scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        #expect(TemporaryDirectory.read(again.codeDirectory + "/index.py") != nil)
        #expect(TemporaryDirectory.read(directory + "/python/b.py") == "2")
        try await house.settle()
        let without = try await house.call("UpdateFunctionConfiguration", ["FunctionName": "fn", "Layers": []]).output
        #expect(without["Layers"] == nil)
    }

    @Test func references() async throws {
        let house = try await Harness()
        let arn = "arn:aws:lambda:us-east-1:000000000000:layer:deps"
        _ = try await publish(house, [("python/a.py", "1")])
        _ = try await publish(house, [("python/a.py", "2")])
        func message(_ layers: [String]) async -> String? {
            await house.error("CreateFunction", house.request("fn", ["Layers": .strings(layers)]))?.message
        }
        #expect(await message((1...6).map { "\(arn)\($0):1" }) == "Cannot reference more than 5 layers.")
        #expect(
            await message(["\(arn):1", "\(arn):2"])
                == "Two different versions of the same layer are not allowed to be referenced in the same function. "
                + "\(arn):1 and \(arn):2 are versions of the same layer.")
        #expect(await message(["\(arn):9"]) == "Layer version \(arn):9 does not exist.")
        #expect(
            await message(["arn:aws:lambda:eu-west-1:000000000000:layer:deps:1"])
                == "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.")
    }

    @Test func permissions() async throws {
        let house = try await Harness()
        let arn = try await publish(house, [("python/a.py", "1")])["LayerVersionArn"] ?? ""
        let layer: Value = ["LayerName": "deps", "VersionNumber": 1]
        #expect(
            await house.error("GetLayerVersionPolicy", layer)?.message
                == "No policy is associated with the given resource.")
        let foreigner: Value = ["Layers": [arn], "Role": "arn:aws:iam::111122223333:role/r"]
        let foreign = await { () -> AWSError? in
            do {
                _ = try await house.call(
                    "CreateFunction", house.request("fn", foreigner), account: "111122223333")
                return nil
            } catch { return error as? AWSError }
        }()
        #expect(foreign?.code == "AccessDeniedException")
        #expect(foreign != .roleOfOtherAccount)
        var grant = layer
        grant["StatementId"] = "s"
        grant["Action"] = "lambda:GetLayerVersion"
        grant["Principal"] = "111122223333"
        let added = try await house.call("AddLayerVersionPermission", grant).output
        #expect(added["RevisionId"] != nil)
        #expect(await house.error("AddLayerVersionPermission", grant)?.status == 409)
        _ = try await house.call(
            "CreateFunction", house.request("fn", foreigner), account: "111122223333")
        var removal = layer
        removal["StatementId"] = "s"
        removal["RevisionId"] = "wrong"
        #expect(
            await house.error("RemoveLayerVersionPermission", removal) == .wrongRevision(call: "GetLayerPolicy"))
        removal["RevisionId"] = added["RevisionId"]
        _ = try await house.call("RemoveLayerVersionPermission", removal)
        #expect(
            await house.error(
                "AddLayerVersionPermission",
                [
                    "LayerName": "no", "VersionNumber": 1, "StatementId": "s", "Action": "lambda:GetLayerVersion",
                    "Principal": "*",
                ])?.message
                == "Layer version arn:aws:lambda:us-east-1:000000000000:layer:no:1 does not exist.")
    }
}
