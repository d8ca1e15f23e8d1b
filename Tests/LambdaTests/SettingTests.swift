import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Lambda

@Suite struct SettingTests {
    private func permission(_ more: Value = [:]) -> Value {
        var input: Value = [
            "FunctionName": "fn", "StatementId": "s3", "Action": "lambda:InvokeFunction",
            "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::photos",
        ]
        for entry in more.fields?.entries ?? [] { input[entry.name] = entry.value }
        return input
    }

    @Test func permissions() async throws {
        let house = try await Harness()
        try await house.create()
        #expect(
            await house.error("GetPolicy", ["FunctionName": "fn"])?.message
                == "The resource you requested does not exist.")
        let before = try await house.call("GetFunctionConfiguration", ["FunctionName": "fn"]).output["RevisionId"]
        let added = try await house.call("AddPermission", permission()).output
        #expect(added["Statement"]?.string?.contains(#""Resource":"\#(house.arn())""#) == true)
        let policy = try await house.call("GetPolicy", ["FunctionName": "fn"]).output
        let prefix = #"{"Version":"2012-10-17","Id":"default","Statement":[{"Sid":"s3""#
        #expect(policy["Policy"]?.string?.hasPrefix(prefix) == true)
        #expect(policy["RevisionId"] != before)
        let now = try await house.call("GetFunctionConfiguration", ["FunctionName": "fn"]).output["RevisionId"]
        #expect(policy["RevisionId"] == now, "one counter")
        #expect(
            await house.error("AddPermission", permission())?.message
                == "The statement id (s3) provided already exists. Please provide a new statement id, or remove the "
                + "existing statement.")
        #expect(
            await house.error("AddPermission", permission(["StatementId": "b", "RevisionId": before ?? ""]))
                == .wrongRevision(call: "GetPolicy"))
        #expect(
            await house.error("AddPermission", permission(["Qualifier": "$LATEST"]))?.message
                == "We currently do not support adding policies for $LATEST.")
        #expect(
            await house.error("AddPermission", permission(["Qualifier": "none"]))
                == .aliasNotFound(house.arn("fn", "none")))
        #expect(
            await house.error("AddPermission", permission(["Qualifier": "42"]))
                == .functionNotFound(house.arn("fn", "42")))
        #expect(
            await house.error("RemovePermission", ["FunctionName": "fn", "StatementId": "x"])?.message
                == "Statement x is not found in resource policy.")
        _ = try await house.call("RemovePermission", ["FunctionName": "fn", "StatementId": "s3"])
        #expect(
            await house.error("RemovePermission", ["FunctionName": "fn", "StatementId": "s3"])?.message
                == "No policy is associated with the given resource.")
        #expect(
            await house.error("RemovePermission", ["FunctionName": "no", "StatementId": "s3"])?.message
                == "No policy found for: \(house.arn("no"))")
    }

    @Test func deliveries() async throws {
        let house = try await Harness()
        try await house.create()
        let principal = Principal.service(
            name: "s3.amazonaws.com", sourceARN: "arn:aws:s3:::photos", sourceAccount: "000000000000")
        let delivery = Delivery(
            id: "1", target: house.arn(), principal: principal, payload: Array("{}".utf8), createdAt: house.time.now())
        func accept() async -> DeliveryRefusal? {
            let (service, now) = (house.service, house.time.now())
            do {
                try await house.database.write { try service.accept(delivery, in: $0, now: now) }
                return nil
            } catch { return error as? DeliveryRefusal }
        }
        guard case .permanent("AccessDeniedException", _) = await accept() else {
            Issue.record("taken without a permission")
            return
        }
        _ = try await house.call("AddPermission", permission())
        #expect(await accept() == nil)
        #expect(house.invoker.state.withLock { $0.enqueued.first?.invokedFunctionARN } == house.arn())
        _ = try await house.call("DeleteFunction", ["FunctionName": "fn"])
        guard case .permanent("ResourceNotFoundException", _) = await accept() else {
            Issue.record("taken for a function that is gone")
            return
        }
    }

    @Test func tags() async throws {
        let house = try await Harness()
        try await house.create()
        let arn: Value = .string(house.arn())
        _ = try await house.call("TagResource", ["Resource": arn, "Tags": ["a": "1", "b": "2"]])
        _ = try await house.call("UntagResource", ["Resource": arn, "TagKeys": ["a", "none"]])
        #expect(try await house.call("ListTags", ["Resource": arn]).output["Tags"] == ["b": "2"])
        let many = Value.stringMap((0..<50).map { ("k\($0)", "v") })
        #expect(
            await house.error("TagResource", ["Resource": arn, "Tags": many])?.message
                == "Number of tags exceeds resource tag limit.")
        #expect(
            await house.error("TagResource", ["Resource": arn, "Tags": [:]])?.message
                == "An error occurred and the request cannot be processed.")
        #expect(
            await house.error("ListTags", ["Resource": .string(house.arn("fn", "1"))])?.message
                == "Tags on function aliases and versions are not supported. Please specify a function ARN.")
        #expect(
            await house.error("ListTags", ["Resource": .string(house.arn("no"))]) == .functionNotFound(house.arn("no")))
    }

    @Test func concurrency() async throws {
        let house = try await Harness()
        try await house.create("a")
        try await house.create("b")
        #expect(try await house.call("GetFunctionConcurrency", ["FunctionName": "a"]).output == [:])
        func put(_ name: String, _ count: Int64) async -> AWSError? {
            await house.error(
                "PutFunctionConcurrency",
                ["FunctionName": .string(name), "ReservedConcurrentExecutions": .int(count)])
        }
        #expect(await put("a", 500) == nil)
        #expect(house.invoker.state.withLock { $0.reserved["a"] } == .some(500))
        #expect(
            await put("b", 401)?.message
                == "Specified ReservedConcurrentExecutions for function decreases account's "
                + "UnreservedConcurrentExecution below its minimum value of [100].")
        #expect(await put("b", 400) == nil)
        #expect(await put("a", 500) == nil, "its own reservation does not count twice")
        #expect(await put("b", 0) == nil)
        #expect(await put("a:1", 1)?.message.hasPrefix("This operation is permitted on Lambda functions only.") == true)
        let settings = try await house.call("GetAccountSettings", [:]).output
        #expect(settings["AccountLimit"]?["UnreservedConcurrentExecutions"] == 500)
        #expect(settings["AccountUsage"]?["FunctionCount"] == 2)
        #expect(
            try await house.call("GetFunction", ["FunctionName": "a"]).output["Concurrency"]
                == ["ReservedConcurrentExecutions": 500])
        _ = try await house.call("DeleteFunctionConcurrency", ["FunctionName": "a"])
        #expect(try await house.call("GetFunctionConcurrency", ["FunctionName": "a"]).output == [:])
    }

    @Test func eventInvokeConfigs() async throws {
        let house = try await Harness()
        try await house.create()
        try await house.create("other")
        let name: Value = ["FunctionName": "fn"]
        #expect(
            await house.error("GetFunctionEventInvokeConfig", name)?.message
                == "The function \(house.arn("fn", "$LATEST")) doesn't have an EventInvokeConfig")
        #expect(
            await house.error("PutFunctionEventInvokeConfig", name)?.message
                == "You must specify at least one of error handling or destination setting.")
        #expect(
            await house.error("PutFunctionEventInvokeConfig", ["FunctionName": "no", "MaximumRetryAttempts": 0])?
                .message
                == "The function doesn't exist.")
        let put = try await house.call(
            "PutFunctionEventInvokeConfig", ["FunctionName": "fn", "MaximumRetryAttempts": 0]
        ).output
        #expect(put["FunctionArn"]?.string == house.arn("fn", "$LATEST"))
        #expect(put["MaximumRetryAttempts"] == 0)
        #expect(put["MaximumEventAgeInSeconds"] == nil)
        #expect(put["DestinationConfig"] == ["OnSuccess": [:], "OnFailure": [:]])
        let updated = try await house.call(
            "UpdateFunctionEventInvokeConfig",
            [
                "FunctionName": "fn", "MaximumEventAgeInSeconds": 60,
                "DestinationConfig": ["OnFailure": ["Destination": .string(house.arn("other"))]],
            ]
        ).output
        #expect(updated["MaximumRetryAttempts"] == 0)
        #expect(updated["DestinationConfig"]?["OnFailure"]?["Destination"]?.string == house.arn("other"))
        let settings = try await house.service.asynchronousSettings(
            scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        #expect(
            settings
                == AsynchronousSettings(
                    maximumRetryAttempts: 0, maximumEventAgeSeconds: 60, onFailure: house.arn("other"),
                    roleARN: Harness.role))
        func destination(_ arn: String) async -> String? {
            await house.error(
                "PutFunctionEventInvokeConfig",
                ["FunctionName": "fn", "DestinationConfig": ["OnSuccess": ["Destination": .string(arn)]]])?.message
        }
        #expect(await destination(house.arn()) == "You can't specify the function as a destination for itself.")
        #expect(await destination(house.arn("no")) == "The destination ARN \(house.arn("no")) is invalid.")
        let wrong = "arn:aws:iam:us-east-1:000000000000:function:fn"
        #expect(
            await destination(wrong)
                == "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=\(wrong)), "
                + "onFailure=null) is invalid.")
        let list = try await house.call("ListFunctionEventInvokeConfigs", name).output
        #expect(list["FunctionEventInvokeConfigs"]?.list?.count == 1)
        _ = try await house.call("DeleteFunctionEventInvokeConfig", name)
        #expect(await house.error("DeleteFunctionEventInvokeConfig", name)?.status == 404)
        let defaults = try await house.service.asynchronousSettings(
            scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        #expect(defaults == AsynchronousSettings(roleARN: Harness.role))
    }

    @Test func storedSettings() async throws {
        let house = try await Harness()
        try await house.create()
        let name: Value = ["FunctionName": "fn"]
        #expect(try await house.call("GetFunctionCodeSigningConfig", name).output == ["FunctionName": "fn"])
        #expect(try await house.call("GetFunctionRecursionConfig", name).output == ["RecursiveLoop": "Terminate"])
        _ = try await house.call("PutFunctionRecursionConfig", ["FunctionName": "fn", "RecursiveLoop": "Allow"])
        #expect(try await house.call("GetFunctionRecursionConfig", name).output == ["RecursiveLoop": "Allow"])
        let management = try await house.call("GetRuntimeManagementConfig", name).output
        #expect(management["UpdateRuntimeOn"] == "Auto")
        _ = try await house.call(
            "PutRuntimeManagementConfig", ["FunctionName": "fn", "UpdateRuntimeOn": "FunctionUpdate"])
        let changed = try await house.call("GetRuntimeManagementConfig", name).output
        #expect(changed["UpdateRuntimeOn"] == "FunctionUpdate")
    }
}
