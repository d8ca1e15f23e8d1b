import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Lambda

@Suite struct FunctionTests {
    @Test func createdWithDefaults() async throws {
        let house = try await Harness()
        let output = try await house.call("CreateFunction", house.request()).output
        #expect(output["State"] == "Pending")
        #expect(output["StateReason"] == "The function is being created.")
        #expect(output["StateReasonCode"] == "Creating")
        #expect(output["LastUpdateStatus"] == nil)
        #expect(output["Timeout"] == 3)
        #expect(output["MemorySize"] == 128)
        #expect(output["Description"] == "")
        #expect(output["PackageType"] == "Zip")
        #expect(output["Architectures"] == ["x86_64"])
        #expect(output["EphemeralStorage"] == ["Size": 512])
        #expect(output["TracingConfig"] == ["Mode": "PassThrough"])
        #expect(output["SnapStart"] == ["ApplyOn": "None", "OptimizationStatus": "Off"])
        #expect(output["LoggingConfig"] == ["LogFormat": "Text", "LogGroup": "/aws/lambda/fn"])
        #expect(output["Version"] == "$LATEST")
        #expect(output["FunctionArn"]?.string == house.arn())
        #expect(output["CodeSize"]?.int == Int64(Harness.zip.count))
        #expect(output["Environment"] == nil)
        #expect(output.fields?.names.prefix(5) == ["FunctionName", "FunctionArn", "Runtime", "Role", "Handler"])

        #expect(await house.error("Invoke", ["FunctionName": "fn"])?.message.hasSuffix("state: Pending") == true)
        try await house.settle()
        let active = try await house.call("GetFunctionConfiguration", ["FunctionName": "fn"]).output
        #expect(active["State"] == "Active")
        #expect(active["StateReason"] == nil)
        #expect(active["LastUpdateStatus"] == "Successful")
        #expect(active["RevisionId"] != output["RevisionId"])
    }

    @Test func getFunction() async throws {
        let house = try await Harness()
        try await house.create("fn", ["Tags": ["a": "b"]])
        let output = try await house.call("GetFunction", ["FunctionName": "fn"]).output
        #expect(output["Tags"] == ["a": "b"])
        #expect(output["Configuration"]?["FunctionArn"]?.string == house.arn())
        #expect(output["Code"]?["RepositoryType"] == "S3")
        let location = try #require(output["Code"]?["Location"]?.string)
        let token = try #require(location.split(separator: "/").last.map(String.init))
        let hold = try #require(house.service.codeDownload(token: token))
        #expect(TemporaryDirectory.read(hold.path)?.hasPrefix("PK") == true)
        hold.release()
        #expect(house.service.codeDownload(token: "x" + token.dropFirst()) == nil)
        house.time.advance(by: .seconds(601))
        #expect(house.service.codeDownload(token: token) == nil)

        let qualified = try await house.call("GetFunction", ["FunctionName": "fn", "Qualifier": "$LATEST"]).output
        #expect(qualified["Configuration"]?["FunctionArn"]?.string == house.arn("fn", "$LATEST"))
        #expect(
            await house.error("GetFunction", ["FunctionName": "no"])
                == .functionNotFound(house.arn("no")))
        #expect(
            await house.error("GetFunction", ["FunctionName": "fn", "Qualifier": "1221"])
                == .functionNotFound(house.arn("fn", "1221")))
        #expect(
            await house.error("GetFunction", ["FunctionName": "fn:none"]) == .functionNotFound(house.arn("fn", "none")))
    }

    @Test func creationErrors() async throws {
        let house = try await Harness()
        try await house.create()
        func message(_ more: Value, name: String = "other") async -> String? {
            await house.error("CreateFunction", house.request(name, more))?.message
        }
        #expect(await message([:], name: "fn") == "Function already exist: fn")
        #expect(await message(["Runtime": "python3.0"])?.hasPrefix("Value python3.0 at 'runtime' failed") == true)
        #expect(await message(["Code": ["ZipFile": .blob([1, 2, 3])]]) == AWSError.badZip.message)
        #expect(await message(["Code": ["ZipFile": .blob([])]]) == AWSError.emptyZip.message)
        #expect(await message(["Code": [:]]) == "Please provide a source for function code.")
        #expect(await message(["Code": ["ImageUri": "x"], "PackageType": "Image"]) == AWSError.noImages.message)
        #expect(await message(["Timeout": 901])?.contains("'timeout'") == true)
        #expect(
            await message(["Environment": ["Variables": ["A": .string(String(repeating: "x", count: 4096))]]])?
                .contains("exceeded the 4KB limit. String measured: {\"A\":\"xxx") == true)
        #expect(
            await message(["Environment": ["Variables": ["AWS_REGION": "x"]]])?
                .hasSuffix("Reserved keys used in this request: AWS_REGION") == true)
        #expect(
            await message(["Code": ["S3Bucket": "no", "S3Key": "fn.zip"]])
                == "Error occurred while GetObject. S3 Error Code: NoSuchBucket. "
                + "S3 Error Message: The specified bucket does not exist")
        #expect(
            await message(["Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:no:1"]])
                == "Layer version arn:aws:lambda:us-east-1:000000000000:layer:no:1 does not exist.")
        #expect(await message([:], name: String(repeating: "a", count: 65))?.hasSuffix("equal to 64") == true)
        #expect(await message(["DurableConfig": [:]])?.contains("DurableConfig is not supported") == true)
        // Nothing of these is left.
        let list = try await house.call("ListFunctions", [:]).output
        #expect(list["Functions"]?.list?.count == 1)
    }

    @Test func codeFromS3() async throws {
        let house = try await Harness()
        let output = try await house.create("fn", ["Code": ["S3Bucket": "code", "S3Key": "fn.zip"]])
        #expect(output["CodeSize"]?.int == Int64(Harness.zip.count))
    }

    @Test func updateCode() async throws {
        let house = try await Harness()
        let created = try await house.create()
        let update: Value = ["FunctionName": "fn", "ZipFile": .blob(Harness.otherZip)]
        var dry = update
        dry["DryRun"] = true
        let planned = try await house.call("UpdateFunctionCode", dry).output
        #expect(planned["CodeSha256"] != created["CodeSha256"])
        #expect(planned["LastUpdateStatus"] == "Successful")

        var wrong = update
        wrong["RevisionId"] = "00000000-0000-0000-0000-000000000000"
        #expect(
            await house.error("UpdateFunctionCode", wrong) == .wrongRevision(call: "GetFunction/GetAlias"))
        let updated = try await house.call("UpdateFunctionCode", update).output
        #expect(updated["State"] == "Active")
        #expect(updated["LastUpdateStatus"] == "InProgress")
        #expect(updated["LastUpdateStatusReasonCode"] == "Creating")
        #expect(await house.error("UpdateFunctionCode", update) == .updateInProgress(house.arn()))
        #expect(
            await house.error("UpdateFunctionConfiguration", ["FunctionName": "fn", "Timeout": 5])
                == .updateInProgress(house.arn()))
        try await house.settle()
        let configuration = try await house.call("GetFunctionConfiguration", ["FunctionName": "fn"]).output
        #expect(configuration["LastUpdateStatus"] == "Successful")
        #expect(configuration["CodeSha256"] == planned["CodeSha256"])
        #expect(
            await house.error("UpdateFunctionCode", ["FunctionName": "fn", "ImageUri": "x"])?.message
                == "Please don't provide ImageUri when updating a function with packageType Zip.")
    }

    /// After an update is answered, nobody sees the old code; the engine knows which generations live.
    @Test func noStaleCode() async throws {
        let house = try await Harness()
        try await house.create()
        _ = try await house.call("Invoke", ["FunctionName": "fn"])
        _ = try await house.call(
            "UpdateFunctionCode", ["FunctionName": "fn", "ZipFile": .blob(Harness.otherZip)])
        _ = try await house.call("Invoke", ["FunctionName": "fn"])
        let (invoked, generations) = house.invoker.state.withLock { ($0.invoked, $0.generations["fn"]) }
        #expect(invoked[0].function.generation != invoked[1].function.generation)
        #expect(generations == [invoked[1].function.generation])
        let code = TemporaryDirectory.read(invoked[1].function.codeDirectory + "/index.py")
        #expect(code == "def handler(event, context): return 2")
        // The old directory stays for environments that still run it, and goes after the grace.
        #expect(TemporaryDirectory.mode(invoked[0].function.codeDirectory) != nil)
    }

    /// Directories that nobody runs from any more go at the next start, when no environment can be running.
    @Test func unusedCodeIsRemoved() async throws {
        let house = try await Harness()
        try await house.create()
        let old = try await house.service.resolve(scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        _ = try await house.call(
            "UpdateFunctionCode", ["FunctionName": "fn", "ZipFile": .blob(Harness.otherZip)])
        try await house.settle()
        let new = try await house.service.resolve(scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        #expect(house.service.codeStore.directories().count == 2)
        await house.service.sweepRetired()
        #expect(house.service.codeStore.directories().count == 2, "an environment may still run the old code")
        try await house.service.start()
        #expect(TemporaryDirectory.mode(old.codeDirectory) == nil)
        #expect(TemporaryDirectory.mode(new.codeDirectory) != nil)
    }

    /// The same, when the grace is over.
    @Test func unusedCodeIsRemovedAfterTheGrace() async throws {
        let house = try await Harness()
        try await house.create()
        let version = try await house.service.resolve(scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        _ = try await house.call("DeleteFunction", ["FunctionName": "fn"])
        await house.service.sweepRetired()
        #expect(TemporaryDirectory.mode(version.codeDirectory) != nil)
        house.time.advance(by: .seconds(Limits.codeGraceSeconds))
        await house.service.sweepRetired()
        #expect(TemporaryDirectory.mode(version.codeDirectory) == nil)
    }

    @Test func updateConfiguration() async throws {
        let house = try await Harness()
        try await house.create("fn", ["Environment": ["Variables": ["A": "1"]]])
        func update(_ change: Value) async throws -> Value {
            var input = change
            input["FunctionName"] = "fn"
            let output = try await house.call("UpdateFunctionConfiguration", input).output
            try await house.settle()
            return output
        }
        let json = try await update(["LoggingConfig": ["LogFormat": "JSON"], "MemorySize": 256])
        #expect(json["MemorySize"] == 256)
        #expect(json["Environment"] == ["Variables": ["A": "1"]])
        #expect(
            json["LoggingConfig"] == [
                "LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO",
                "LogGroup": "/aws/lambda/fn",
            ])
        let debug = try await update(["LoggingConfig": ["ApplicationLogLevel": "DEBUG"]])
        #expect(debug["LoggingConfig"]?["ApplicationLogLevel"] == "DEBUG")
        let text = try await update(["LoggingConfig": ["LogFormat": "Text", "LogGroup": "/mine"]])
        #expect(text["LoggingConfig"] == ["LogFormat": "Text", "LogGroup": "/mine"])
        let cleared = try await update(["Environment": ["Variables": [:]], "Description": "d"])
        #expect(cleared["Environment"] == ["Variables": [:]])
        #expect(cleared["Description"] == "d")
    }

    @Test func deletion() async throws {
        let house = try await Harness()
        try await house.create()
        let version = try await house.call("PublishVersion", ["FunctionName": "fn"]).output
        _ = try await house.call(
            "CreateAlias", ["FunctionName": "fn", "Name": "live", "FunctionVersion": version["Version"] ?? ""])
        #expect(
            await house.error("DeleteFunction", ["FunctionName": "fn", "Qualifier": "$LATEST"])?.message
                == "$LATEST version cannot be deleted without deleting the function.")
        #expect(
            await house.error("DeleteFunction", ["FunctionName": "fn", "Qualifier": "1"])?.message
                == "Unable to delete version because the following aliases reference it: [live]")
        #expect(try await house.call("DeleteFunction", ["FunctionName": "fn", "Qualifier": "77"]).status == 204)
        #expect(try await house.call("DeleteFunction", ["FunctionName": "fn"]).status == 204)
        #expect(await house.error("DeleteFunction", ["FunctionName": "fn"]) == .functionNotFound(house.arn()))
        #expect(await house.error("GetAlias", ["FunctionName": "fn", "Name": "live"])?.status == 404)
        #expect(await house.error("Invoke", ["FunctionName": "fn"]) == .functionNotFound(house.arn()))
        #expect(house.invoker.state.withLock { $0.generations["fn"] } == [])
        let blobs = try await house.database.read { transaction in
            try transaction.query("SELECT refs FROM blobs_blobs WHERE refs > 0", []) { $0.int(0) }
        }
        #expect(blobs == [], "all references are given back")
    }

    @Test func lists() async throws {
        let house = try await Harness()
        for index in 0..<5 { try await house.create("fn\(index)") }
        let first = try await house.call("ListFunctions", ["MaxItems": 3]).output
        #expect(first["Functions"]?.list?.compactMap { $0["FunctionName"]?.string } == ["fn0", "fn1", "fn2"])
        #expect(first["Functions"]?.list?.first?["State"] == nil)
        #expect(first["Functions"]?.list?.first?["LastUpdateStatus"] == nil)
        let second = try await house.call("ListFunctions", ["MaxItems": 3, "Marker": first["NextMarker"] ?? ""]).output
        #expect(second["Functions"]?.list?.compactMap { $0["FunctionName"]?.string } == ["fn3", "fn4"])
        #expect(second["NextMarker"] == nil)
        #expect(await house.error("ListFunctions", ["Marker": "?"]) == .badMarker)
        _ = try await house.call("PublishVersion", ["FunctionName": "fn0"])
        let all = try await house.call("ListFunctions", ["FunctionVersion": "ALL"]).output
        #expect(all["Functions"]?.list?.count == 6)
        #expect(all["Functions"]?.list?[1]["FunctionArn"]?.string == house.arn("fn0", "1"))
        let other = try await house.call("ListFunctions", [:], account: "111122223333").output
        #expect(other["Functions"] == [])
    }

    /// What runs in the writer's transactions, or over many functions, reads indexes alone.
    @Test(arguments: [
        ("SELECT COALESCE(SUM(code_size), 0) FROM lambda_versions WHERE account = ? AND region = ?", 2),
        ("SELECT generation FROM lambda_versions WHERE account = ? AND region = ? AND name = ?", 3),
        ("SELECT DISTINCT code FROM lambda_versions", 0),
        ("SELECT DISTINCT layers FROM lambda_versions WHERE layers IS NOT NULL", 0),
    ])
    func plans(sql: String, parameters: Int) async throws {
        let house = try await Harness()
        let plan = try await house.database.read { transaction in
            try transaction.query("EXPLAIN QUERY PLAN " + sql, Array(repeating: "x", count: parameters)) { $0.text(3) }
        }
        #expect(plan.allSatisfy { $0.contains("COVERING INDEX") }, "\(plan)")
    }

    /// What a stop interrupted is finished at start.
    @Test func recovery() async throws {
        let house = try await Harness()
        _ = try await house.call("CreateFunction", house.request())
        try await house.service.start()
        let output = try await house.call("GetFunctionConfiguration", ["FunctionName": "fn"]).output
        #expect(output["State"] == "Active")
    }
}
