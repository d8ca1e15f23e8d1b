import Contracts
import Platform
import Storage
import Synchronization
import Testing
import Wire

@testable import Lambda

/// Answers for targets as it is told; what is sent is not kept.
final class FakeOutbox: DeliveryOutbox {
    let refusals = Mutex<[String: DeliveryRefusal]>([:])
    let asked = Mutex<[Principal]>([])

    func send(_ delivery: Delivery, in transaction: any WriteTransaction) throws {}

    func validate(target: String, for principal: Principal, in transaction: any ReadTransaction) throws {
        asked.withLock { $0.append(principal) }
        if let refusal = refusals.withLock({ $0[target] }) { throw refusal }
    }
}

struct NoObjects: ObjectReader {
    func stage(
        bucket: String, key: String, version: String?, for context: OperationContext, limit: Int64
    ) async throws -> (blob: BlobID, size: Int64) {
        throw AWSError("NoSuchBucket", status: 404, "The specified bucket does not exist")
    }
}

/// Decides everything alike.
final class FakeAuthorizer: Authorizer {
    let decision = Mutex(PolicyDecision.allowed)

    func decide(
        _ principal: Principal, action: String, resource: String, in transaction: any ReadTransaction
    ) throws -> PolicyDecision { decision.withLock { $0 } }
}

@Suite struct TargetTests {
    let house: Harness
    let outbox = FakeOutbox()
    let authorizer = FakeAuthorizer()
    let gone = "arn:aws:sqs:us-east-1:000000000000:gone"
    let denied = "arn:aws:sns:us-east-1:000000000000:denied"
    let fine = "arn:aws:sqs:us-east-1:000000000000:fine"

    init() async throws {
        house = try await Harness()
        house.service.connect(
            invoker: house.invoker, objects: NoObjects(), outbox: outbox, authorizer: authorizer)
        outbox.refusals.withLock {
            $0[gone] = .permanent(code: "AWS.SimpleQueueService.NonExistentQueue", message: "")
            $0[denied] = .permanent(code: "AccessDeniedException", message: "")
            $0["arn:aws:events:us-east-1:000000000000:event-bus/b"] = .permanent(code: "UnsupportedTarget", message: "")
            $0[fine + "2"] = .temporary(code: "Throttled", message: "")
        }
    }

    @Test func destinations() async throws {
        try await house.create()
        func put(_ arn: String) async -> String? {
            await house.error(
                "PutFunctionEventInvokeConfig",
                ["FunctionName": "fn", "DestinationConfig": ["OnFailure": ["Destination": .string(arn)]]])?.message
        }
        #expect(await put(gone) == "The destination ARN \(gone) is invalid.")
        #expect(
            await put(denied) == "The function's execution role does not have permissions to call Publish on \(denied)")
        #expect(await put(fine) == nil)
        #expect(await put(fine + "2") == nil)
        #expect(await put(fine + ".fifo") == "The destination ARN \(fine).fifo is invalid.")
        // There are no buses yet: the record is refused when it comes to that.
        #expect(await put("arn:aws:events:us-east-1:000000000000:event-bus/b") == nil)
        #expect(
            outbox.asked.withLock { $0.first }
                == .roleSession(roleARN: Harness.role, sessionName: "fn", account: "000000000000"))
    }

    @Test func aRoleOfAnotherAccountIsRefused() async throws {
        let role: Value = ["Role": "arn:aws:iam::111122223333:role/r"]
        #expect(await house.error("CreateFunction", house.request("fn", role)) == .roleOfOtherAccount)
        #expect(await house.error("GetFunction", ["FunctionName": "fn"])?.status == 404)
        try await house.create()
        var update: Value = ["FunctionName": "fn", "Role": "arn:aws:iam::111122223333:role/r"]
        #expect(await house.error("UpdateFunctionConfiguration", update) == .roleOfOtherAccount)
        update["Role"] = "arn:aws:iam::000000000000:role/other"
        #expect(await house.error("UpdateFunctionConfiguration", update) == nil)
    }

    @Test func deadLetterTargets() async throws {
        func config(_ arn: String) -> Value { ["DeadLetterConfig": ["TargetArn": .string(arn)]] }
        #expect(
            await house.error("CreateFunction", house.request("fn", config(gone)))?.message
                == "The provided target ARN \(gone) is invalid.")
        try await house.create("fn", config(fine))
        func update(_ arn: String) async -> String? {
            var input = config(arn)
            input["FunctionName"] = "fn"
            return await house.error("UpdateFunctionConfiguration", input)?.message
        }
        #expect(
            await update(denied) == "The provided execution role does not have permissions to call Publish on SNS")
        #expect(await update(fine + ".fifo") == "The provided target ARN \(fine).fifo is invalid.")
        let settings = try await house.service.asynchronousSettings(
            scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        #expect(settings.deadLetterTarget == fine)
        #expect(await update("") == nil)
        try await house.settle()
        let without = try await house.service.asynchronousSettings(
            scope: Harness.scope, function: "fn", qualifier: "$LATEST")
        #expect(without.deadLetterTarget == nil)
    }

    @Test func whatARoleMayInvoke() async throws {
        try await house.create()
        let trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=1:ab:3"
        func accept(account: String = "000000000000") async -> String? {
            let delivery = Delivery(
                id: "1", target: house.arn(),
                principal: .roleSession(
                    roleARN: "arn:aws:iam::\(account):role/r", sessionName: "other", account: account),
                payload: Array("{}".utf8), createdAt: house.time.now(),
                attributes: DeliveryAttributes(traceHeader: trace))
            let (service, now) = (house.service, house.time.now())
            do {
                try await house.database.write { try service.accept(delivery, in: $0, now: now) }
                return nil
            } catch DeliveryRefusal.permanent(let code, let message) {
                #expect(code == "AccessDeniedException")
                return message
            } catch {
                return "\(error)"
            }
        }
        let user =
            "User: arn:aws:sts::000000000000:assumed-role/r/other is not authorized to perform: "
            + "lambda:InvokeFunction on resource: \(house.arn()) "
        #expect(await accept() == nil)
        #expect(house.invoker.state.withLock { $0.enqueued.first?.traceID } == trace)
        authorizer.decision.withLock { $0 = .notAllowed }
        #expect(
            await accept() == user + "because no identity-based policy allows the lambda:InvokeFunction action")
        _ = try await house.call(
            "AddPermission",
            [
                "FunctionName": "fn", "StatementId": "s", "Action": "lambda:InvokeFunction",
                "Principal": "arn:aws:iam::000000000000:role/r",
            ])
        #expect(await accept() == nil, "the function's own policy suffices in one account")
        authorizer.decision.withLock { $0 = .explicitlyDenied }
        #expect(await accept() == user + "with an explicit deny in an identity-based policy")
        authorizer.decision.withLock { $0 = .allowed }
        #expect(
            await accept(account: "111122223333")?.hasSuffix(
                "because no resource-based policy allows the lambda:InvokeFunction action") == true)
    }
}
