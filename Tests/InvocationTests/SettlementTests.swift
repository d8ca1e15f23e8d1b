import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import Invocation

@Suite struct SettlementTests {
    static let queue = "arn:aws:sqs:eu-west-1:123456789012:q"
    static let role = "arn:aws:iam::123456789012:role/r"
    let now = Instant(milliseconds: 1_764_025_868_000)
    var event = AsynchronousEvent(
        requestID: "id", scope: AccountRegion(account: "123456789012", region: "eu-west-1"), function: "f",
        qualifier: "$LATEST", payload: Array(#"{"b": 1.50, "a":"\u00e9"}"#.utf8), acceptedAt: Instant(nanoseconds: 0),
        invokedFunctionARN: "arn:aws:lambda:eu-west-1:123456789012:function:f", traceID: "Root=1")

    func settings(success: String? = nil, failure: String? = nil, letters: String? = nil) -> AsynchronousSettings {
        AsynchronousSettings(
            onSuccess: success, onFailure: failure, deadLetterTarget: letters, roleARN: SettlementTests.role)
    }

    func attempt(_ payload: String, error: String? = nil) -> Attempt {
        Attempt(
            .success(
                InvocationResult(
                    payload: ByteBuffer(string: payload), functionError: error, executedVersion: "$LATEST", logTail: nil
                )),
            traceHeader: "Root=1;Lineage=1:x:0")
    }

    func settlement(_ settings: AsynchronousSettings, _ attempt: Attempt, count: Int = 3) -> Settlement {
        Settlement(event: event, settings: settings, attempt: attempt, invokeCount: count, now: now)
    }

    func text(_ delivery: Delivery?) -> String { String(decoding: delivery?.payload ?? [], as: UTF8.self) }

    @Test func whatLeavesIsSentAsTheFunctionsAccount() {
        var settings = settings(success: Self.queue)
        settings.roleARN = "arn:aws:iam::999999999999:role/r"
        #expect(
            settlement(settings, attempt("1")).succeeded().first?.principal
                == .roleSession(
                    roleARN: "arn:aws:iam::999999999999:role/r", sessionName: "f", account: "123456789012"))
    }

    @Test func theRecordIsAsRecordedOnAWS() throws {
        let success = settlement(settings(success: Self.queue), attempt(#"{"x":  1}"#), count: 1).succeeded()
        #expect(
            text(success.first)
                == #"{"version":"1.0","timestamp":"2025-11-24T23:11:08.000Z","requestContext":{"requestId":"id","#
                + #""functionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST","condition":"Success","#
                + #""approximateInvokeCount":1},"requestPayload":{"b": 1.50, "a":"\u00e9"},"#
                + #""responseContext":{"statusCode":200,"executedVersion":"$LATEST"},"responsePayload":{"x":  1}}"#)
        let failure = settlement(
            settings(failure: Self.queue), attempt(#"{"errorMessage":"no"}"#, error: "Unhandled")
        ).discarded(.retriesExhausted)
        #expect(failure.count == 1)
        #expect(
            text(failure.first).hasSuffix(
                #""condition":"RetriesExhausted","approximateInvokeCount":3},"requestPayload":{"b": 1.50, "a":"\u00e9"},"#
                    + #""responseContext":{"statusCode":200,"executedVersion":"$LATEST","functionError":"Unhandled"},"#
                    + #""responsePayload":{"errorMessage":"no"}}"#))
        #expect(failure.first?.attributes == DeliveryAttributes(traceHeader: "Root=1;Lineage=1:x:0"))
        #expect(
            failure.first?.principal == .roleSession(roleARN: Self.role, sessionName: "f", account: "123456789012"))
        #expect(failure.first?.purpose == .destination)
    }

    @Test func withoutAnAttemptThereIsNoResponse() throws {
        let deliveries = settlement(
            settings(failure: Self.queue), Attempt(.zeroReservedConcurrency, error: .throttled(.reserved)), count: 0
        ).discarded(.zeroReservedConcurrency)
        #expect(
            text(deliveries.first).hasSuffix(
                #""condition":"ZeroReservedConcurrency","approximateInvokeCount":0},"#
                    + #""requestPayload":{"b": 1.50, "a":"\u00e9"}}"#))
    }

    @Test func bothTheDeadLetterQueueAndTheDestinationAreUsed() throws {
        let long = String(repeating: "é", count: 600)
        let deliveries = settlement(
            settings(failure: Self.queue, letters: "arn:aws:sns:eu-west-1:123456789012:t"),
            attempt("{\"errorMessage\":\"\(long)\"}", error: "Unhandled")
        ).discarded(.retriesExhausted)
        #expect(deliveries.map(\.target) == ["arn:aws:sns:eu-west-1:123456789012:t", Self.queue])
        let letter = try #require(deliveries.first)
        #expect(letter.payload == event.payload)
        #expect(letter.purpose == .deadLetter)
        #expect(
            letter.attributes.message == [
                MessageAttribute(name: "RequestID", dataType: "String", content: .string("id")),
                MessageAttribute(name: "ErrorCode", dataType: "Number", content: .string("200")),
                MessageAttribute(
                    name: "ErrorMessage", dataType: "String", content: .string(String(repeating: "é", count: 512))),
            ])
    }

    @Test func whatIsNotTheFunctionsErrorIsTheAPIs() throws {
        let letters = settings(letters: Self.queue)
        let throttled = settlement(letters, Attempt(.zeroReservedConcurrency, error: .throttled(.reserved)))
            .discarded(.zeroReservedConcurrency)
        #expect(
            throttled.first?.attributes.message.map(\.content) == [
                .string("id"), .string("429"), .string("Rate Exceeded."),
            ])
        let loop = settlement(letters, Attempt(.recursion, error: .recursiveInvocation)).discarded(.recursion)
        #expect(loop.first?.attributes.message.dropFirst().first?.content == .string("400"))
        let old = settlement(letters, Attempt(.expired)).discarded(.eventAgeExceeded)
        #expect(old.first?.attributes.message.count == 2)
    }

    /// Where a destination is a source of the function too, the record of a stopped circle comes back, and must end there.
    @Test func theRecordOfAStoppedCircleIsTheLast() throws {
        let both = settings(failure: "arn:aws:s3:::b", letters: Self.queue)
        let stop = Attempt(.recursion, error: .recursiveInvocation, traceHeader: "Root=1;Lineage=1:x:16")
        let left = settlement(both, stop).discarded(.recursion)
        #expect(left.count == 2)
        let header = try #require(left.last?.attributes.traceHeader)
        // What finds circles is still in it, also after another function.
        let (passed, invocation) = TraceHeader.passing("arn:other", header)
        #expect(header.hasPrefix("Root=1;Lineage=1:x:16") && invocation == 1)
        var again = self
        again.event.traceID = passed
        #expect(again.settlement(both, stop).discarded(.recursion).isEmpty)
        // Any other end of such an event leaves what it always does.
        #expect(again.settlement(both, attempt("1", error: "Unhandled")).discarded(.retriesExhausted).count == 2)
        let plain = settlement(both, attempt("1", error: "Unhandled")).discarded(.retriesExhausted)
        #expect(plain.last?.attributes.traceHeader == "Root=1;Lineage=1:x:0")
    }

    @Test func anErrorMessageIsCutWhereAQueueTakesIt() {
        #expect(Settlement.cut("a\u{0}\u{7}b\n") == "a??b\n")
        #expect(Settlement.cut(String(repeating: "x", count: 1023) + "é").utf8.count == 1023)
        #expect(Settlement.cut(String(repeating: "x", count: 1021) + "😀") == String(repeating: "x", count: 1021))
        #expect(Settlement.cut("") == "")
    }

    @Test func busesAndBuckets() throws {
        let bus = "arn:aws:events:eu-west-1:123456789012:event-bus/b"
        let function = "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST"
        let sent = settlement(settings(success: bus), attempt("null")).succeeded()
        #expect(
            sent.first?.attributes.event
                == DeliveryAttributes.EventKind(
                    source: "lambda", detailType: "Lambda Function Invocation Result - Success",
                    resources: [bus, function]))
        let kept = settlement(settings(failure: "arn:aws:s3:::b"), attempt("null", error: "Unhandled"))
            .discarded(.retriesExhausted)
        #expect(kept.first?.attributes.objectKey == "aws/lambda/async/f/2025/11/24/2025-11-24T23.11.08-id")
        #expect(kept.first?.attributes.region == "eu-west-1")
    }

    @Test func payloadsThatAreNotJSONBecomeStrings() throws {
        for (payload, shown) in [("", "null"), ("{", #""{""#), ("a\"b", #""a\"b""#), (" 1 ", " 1 ")] {
            let sent = settlement(settings(success: Self.queue), attempt(payload)).succeeded()
            #expect(text(sent.first).hasSuffix(#""responsePayload":\#(shown)}"#))
            #expect((try? JSON.validate(sent.first?.payload ?? [])) != nil)
        }
    }

    @Test func aRecordThatIsTooLargeGoesWithoutItsPayloads() throws {
        let large = "\"" + String(repeating: "x", count: 300_000) + "\""
        for (target, isWhole) in [("arn:aws:sns:eu-west-1:123456789012:t", false), (Self.queue, true)] {
            let sent = try #require(settlement(settings(success: target), attempt(large)).succeeded().first)
            #expect((sent.payload.count > 300_000) == isWhole)
            let record = try JSON.parse(sent.payload)
            #expect((record["responsePayload"] != nil) == isWhole)
            #expect(record["responseContext"]?["statusCode"] == 200)
        }
    }

    @Test func whereThereIsNoTargetNothingIsSent() {
        #expect(settlement(settings(), attempt("1")).succeeded().isEmpty)
        #expect(settlement(settings(), attempt("1", error: "Unhandled")).discarded(.retriesExhausted).isEmpty)
        // A function that is gone took its role along.
        let gone = AsynchronousSettings(onFailure: Self.queue)
        #expect(settlement(gone, Attempt(.functionGone)).discarded(.functionGone).isEmpty)
    }
}
