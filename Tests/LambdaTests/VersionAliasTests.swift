import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Lambda

@Suite struct VersionAliasTests {
    private func publish(_ house: Harness, _ more: Value = [:]) async throws -> Value {
        var input: Value = ["FunctionName": "fn"]
        for entry in more.fields?.entries ?? [] { input[entry.name] = entry.value }
        let output = try await house.call("PublishVersion", input).output
        try await house.settle()
        return output
    }

    private func update(_ house: Harness, _ more: Value) async throws {
        var input: Value = ["FunctionName": "fn"]
        for entry in more.fields?.entries ?? [] { input[entry.name] = entry.value }
        _ = try await house.call("UpdateFunctionConfiguration", input)
        try await house.settle()
    }

    @Test func publishing() async throws {
        let house = try await Harness()
        try await house.create()
        let first = try await publish(house, ["Description": "one"])
        #expect(first["Version"] == "1")
        #expect(first["FunctionArn"]?.string == house.arn("fn", "1"))
        #expect(first["State"] == "Pending")
        #expect(first["Description"] == "one")
        let again = try await publish(house, ["Description": "other"])
        #expect(again["Version"] == "1", "nothing changed")
        #expect(again["Description"] == "one")
        try await update(house, ["Timeout": 7])
        #expect(try await publish(house)["Version"] == "2")
        try await update(house, ["Description": "d"])
        #expect(try await publish(house)["Version"] == "3", "a description of $LATEST is a change")
        #expect(try await publish(house)["Version"] == "3")
        // Numbers are not reused.
        _ = try await house.call("DeleteFunction", ["FunctionName": "fn", "Qualifier": "3"])
        try await update(house, ["Timeout": 8])
        #expect(try await publish(house)["Version"] == "4")
        let list = try await house.call("ListVersionsByFunction", ["FunctionName": "fn"]).output
        #expect(list["Versions"]?.list?.compactMap { $0["Version"]?.string } == ["$LATEST", "1", "2", "4"])
        #expect(list["Versions"]?.list?.first?["FunctionArn"]?.string == house.arn("fn", "$LATEST"))
        let one = try await house.call("GetFunctionConfiguration", ["FunctionName": "fn:1"]).output
        #expect(one["Timeout"] == 3, "versions do not change")
    }

    @Test func publishingGuards() async throws {
        let house = try await Harness()
        let created = try await house.create()
        let sha = created["CodeSha256"]?.string ?? ""
        #expect(
            await house.error("PublishVersion", ["FunctionName": "fn", "CodeSha256": "x"])?.message
                == "CodeSHA256 (x) is different from current CodeSHA256 in $LATEST (\(sha)). "
                + "Please try again with the CodeSHA256 in $LATEST.")
        #expect(
            await house.error("PublishVersion", ["FunctionName": "fn", "RevisionId": created["RevisionId"] ?? ""])
                == .wrongRevision(call: "GetFunction/GetAlias"))
        let published = try await house.call("PublishVersion", ["FunctionName": "fn", "CodeSha256": .string(sha)])
        #expect(published.output["Version"] == "1")
    }

    @Test func publishOnCreateAndUpdate() async throws {
        let house = try await Harness()
        let created = try await house.create("fn", ["Publish": true])
        #expect(created["Version"] == "1")
        #expect(created["FunctionArn"]?.string == house.arn())
        let updated = try await house.call(
            "UpdateFunctionCode",
            ["FunctionName": "fn", "ZipFile": .blob(Harness.otherZip), "Publish": true]
        ).output
        #expect(updated["Version"] == "2")
        #expect(updated["FunctionArn"]?.string == house.arn("fn", "2"))
    }

    @Test func aliases() async throws {
        let house = try await Harness()
        try await house.create()
        _ = try await publish(house)
        let created = try await house.call(
            "CreateAlias", ["FunctionName": "fn", "Name": "live", "FunctionVersion": "1", "Description": "d"]
        ).output
        #expect(created["AliasArn"]?.string == house.arn("fn", "live"))
        #expect(created["FunctionVersion"] == "1")
        #expect(created["RoutingConfig"] == nil)
        #expect(
            await house.error("CreateAlias", ["FunctionName": "fn", "Name": "live", "FunctionVersion": "1"])?.message
                == "Alias already exists: \(house.arn("fn", "live"))")
        #expect(
            await house.error("CreateAlias", ["FunctionName": "fn", "Name": "x", "FunctionVersion": "9"])
                == .functionNotFound(house.arn("fn", "9")))
        #expect(
            await house.error("GetAlias", ["FunctionName": "fn", "Name": "none"])
                == .aliasNotFound(house.arn("fn", "none")))
        #expect(
            await house.error("UpdateAlias", ["FunctionName": "fn", "Name": "none"])?.message
                == "Alias not found: \(house.arn("fn", "none"))")
        #expect(
            await house.error("UpdateAlias", ["FunctionName": "fn", "Name": "live", "RevisionId": "x"])
                == .wrongRevision(call: "GetFunction/GetAlias"))
        let shown = try await house.call("GetFunctionConfiguration", ["FunctionName": "fn:live"]).output
        #expect(shown["Version"] == "1")
        #expect(shown["FunctionArn"]?.string == house.arn("fn", "live"))
        _ = try await house.call("DeleteAlias", ["FunctionName": "fn", "Name": "live"])
        _ = try await house.call("DeleteAlias", ["FunctionName": "fn", "Name": "live"])
        #expect(try await house.call("ListAliases", ["FunctionName": "fn"]).output["Aliases"] == [])
    }

    @Test func routing() async throws {
        let house = try await Harness()
        try await house.create()
        _ = try await publish(house)
        try await update(house, ["Timeout": 9])
        _ = try await publish(house)
        func alias(_ version: String, _ weights: Value) -> Value {
            [
                "FunctionName": "fn", "Name": "live", "FunctionVersion": .string(version),
                "RoutingConfig": ["AdditionalVersionWeights": weights],
            ]
        }
        #expect(
            await house.error("CreateAlias", alias("$LATEST", ["1": 0.5]))?.message
                == "$LATEST is not supported for an alias pointing to more than 1 version")
        #expect(
            await house.error("CreateAlias", alias("1", ["1": 0.5]))?.message
                == "Invalid function version 1. Function version 1 is already included in routing configuration.")
        #expect(
            await house.error("CreateAlias", alias("1", ["2": 0.5, "3": 0.1]))?.message
                == "Number of items in AdditionalVersionWeights cannot be greater than 1")
        let created = try await house.call("CreateAlias", alias("1", ["2": 0.25])).output
        #expect(created["RoutingConfig"] == ["AdditionalVersionWeights": ["2": 0.25]])
        for (draw, version) in [(0.0, "2"), (0.24, "2"), (0.25, "1"), (0.99, "1")] {
            house.draws.withLock { $0 = draw }
            let output = try await house.call("Invoke", ["FunctionName": "fn:live"]).output
            #expect(output["ExecutedVersion"]?.string == version)
        }
        // The caller's name of the function reaches it unresolved.
        let last = house.invoker.state.withLock { $0.invoked.last }
        #expect(last?.invocation.invokedFunctionARN == house.arn("fn", "live"))
        let cleared = try await house.call(
            "UpdateAlias", ["FunctionName": "fn", "Name": "live", "RoutingConfig": ["AdditionalVersionWeights": [:]]]
        ).output
        #expect(cleared["RoutingConfig"] == nil)
        house.draws.withLock { $0 = 0 }
        #expect(try await house.call("Invoke", ["FunctionName": "fn:live"]).output["ExecutedVersion"] == "1")
    }
}
