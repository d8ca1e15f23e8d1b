import Contracts
import NIOCore
import Platform
import Testing
import Wire

@testable import S3

/// The rules by which a GET and its WriteGetObjectResponse meet, with names in the place of those who wait.
@Suite struct ExchangeMachineTests {
    private typealias Machine = ExchangeMachine<String, String, String>
    private struct Ended: Error, Equatable {
        var why: String
    }

    private func head(body: Bool = true) -> TransformedHead {
        TransformedHead(status: 200, output: [:], length: nil, hasBody: body)
    }

    @Test func theFirstAnswerCounts() {
        var machine = Machine()
        #expect(machine.callerWaits("caller") == nil)
        let first = machine.answer(head())
        #expect(first.accepted && first.caller == "caller")
        let second = machine.answer(head())
        #expect(!second.accepted && second.caller == nil)
    }

    @Test func anAnswerMayComeBeforeItsCallerWaits() throws {
        var machine = Machine()
        #expect(machine.answer(head()).caller == nil)
        #expect(try machine.callerWaits("caller")?.get().status == 200)
    }

    @Test func aPieceStaysWithItsWriterUntilItIsRead() {
        var machine = Machine()
        _ = machine.answer(head())
        guard case .wait = machine.offer(ByteBuffer(string: "a"), "writer") else { return #expect(Bool(false)) }
        guard case .piece(let piece, "writer") = machine.read("reader") else { return #expect(Bool(false)) }
        #expect(piece == ByteBuffer(string: "a"))
        guard case .wait = machine.read("reader") else { return #expect(Bool(false)) }
        guard case .taken("reader") = machine.offer(nil, "writer") else { return #expect(Bool(false)) }
        #expect(machine.isOver)
        #expect(machine.end(Ended(why: "late")).reader == nil)
    }

    @Test func theEndTellsWhoeverWaits() {
        var waiting = Machine()
        _ = waiting.callerWaits("caller")
        #expect(waiting.end(Ended(why: "time")).caller == "caller")
        #expect(!waiting.answer(head()).accepted)

        var reading = Machine()
        _ = reading.answer(head())
        _ = reading.read("reader")
        #expect(reading.end(Ended(why: "time")).reader == "reader")
        guard case .failure = reading.offer(nil, "writer") else { return #expect(Bool(false)) }

        var writing = Machine()
        _ = writing.answer(head())
        _ = writing.offer(ByteBuffer(string: "a"), "writer")
        #expect(writing.end(Ended(why: "time")).writer == "writer")
        guard case .failure = writing.read("reader") else { return #expect(Bool(false)) }
    }

    @Test func anAnswerWithoutBodyIsOver() {
        var machine = Machine()
        #expect(machine.answer(head(body: false)).accepted)
        #expect(machine.isOver)
    }

    /// Whatever happens in whatever order: everybody who waits is told once, and pieces come in their order.
    @Test(arguments: 0..<200) func anyOrder(seed: UInt64) {
        var random = SeededGenerator(seed: seed &+ 1)
        var machine = Machine()
        var waits: Set<String> = []
        var told: [String] = []
        var sent = 0
        var offered: [Int] = []
        var received: [Int] = []
        func tell(_ name: String?) {
            guard let name else { return }
            #expect(waits.remove(name) != nil)
            told.append(name)
        }
        func number(_ piece: ByteBuffer?) -> Int { piece.map { $0.readableBytes } ?? 0 }
        for _ in 0..<60 {
            switch Int.random(in: 0..<5, using: &random) {
            case 0 where !waits.contains("caller") && !told.contains("caller"):
                if machine.callerWaits("caller") == nil { waits.insert("caller") } else { told.append("caller") }
            case 1: tell(machine.answer(head()).caller)
            case 2 where !waits.contains("reader"):
                switch machine.read("reader") {
                case .piece(let piece, let writer):
                    received.append(number(piece))
                    tell(writer)
                case .wait: waits.insert("reader")
                case .failure: break
                }
            case 3 where !waits.contains("writer") && sent < 1000:
                sent += 1
                switch machine.offer(ByteBuffer(repeating: 0, count: sent), "writer") {
                case .taken(let reader):
                    received.append(sent)
                    tell(reader)
                case .wait: waits.insert("writer")
                case .failure: break
                }
                offered.append(sent)
            case 4 where Int.random(in: 0..<10, using: &random) == 0:
                let ended = machine.end(Ended(why: "end"))
                tell(ended.caller)
                tell(ended.reader)
                tell(ended.writer)
            default: break
            }
        }
        let ended = machine.end(Ended(why: "at last"))
        for name in [ended.caller, ended.reader, ended.writer] { tell(name) }
        #expect(waits.isEmpty)
        #expect(received == received.sorted())
        #expect(Set(received).count == received.count)
    }
}

@Suite struct AccessPointNameTests {
    @Test func arnsOfAccessPoints() {
        let key = AccessPoint.Key(arn: "arn:aws:s3:us-east-1:123456789012:accesspoint/prod")
        #expect(key?.kind == .bucket && key?.name == "prod" && key?.scope.account == "123456789012")
        #expect(key?.arn == "arn:aws:s3:us-east-1:123456789012:accesspoint/prod")
        #expect(
            AccessPoint.Key(arn: "arn:aws:s3-object-lambda:eu-west-1:123456789012:accesspoint/x")?.kind == .objectLambda
        )
        for wrong in [
            "arn:aws:s3:::bucket", "arn:aws:s3:us-east-1:1:accesspoint/x",
            "arn:aws:sqs:us-east-1:123456789012:accesspoint/x",
            "arn:aws:s3:us-east-1:123456789012:accesspoint/", "arn:aws:s3:us-east-1:123456789012:accesspoint/a/b",
            "arn:",
        ] {
            #expect(AccessPoint.Key(arn: wrong) == nil, "\(wrong)")
        }
    }

    @Test func aliasesAreShortEnoughAndTellTheirKind() {
        for (kind, suffix) in [(AccessPoint.Kind.bucket, "-s3alias"), (.objectLambda, "--ol-s3")] {
            for name in ["abc", String(repeating: "n", count: 50), "a-very-long-na-e-with-a-dash-at-the-cut-somewhere"]
            {
                let key = AccessPoint.Key(
                    scope: AccountRegion(account: "123456789012", region: "us-east-1"), kind: kind, name: name)
                let alias = AccessPoint.makeAlias(key, created: Instant(milliseconds: 1))
                #expect(alias.utf8.count <= 63 && alias.hasSuffix(suffix))
                #expect(!BucketName.isValid(alias), "no bucket can have the name")
                #expect(alias != AccessPoint.makeAlias(key, created: Instant(milliseconds: 2)))
            }
        }
    }

    @Test func whatMayBeAnAccessPoint() {
        for name in ["arn:aws:s3:::x", "a-s3alias", "a--ol-s3", "ap-123456789012"] {
            #expect(BucketReference.mayBeAccessPoint(name), "\(name)")
        }
        for name in ["photos", "", "123456789012", "-123456789012", "photos-12345678901", "x123456789012"] {
            #expect(!BucketReference.mayBeAccessPoint(name), "\(name)")
        }
    }
}

@Suite struct FunctionAnswerTests {
    @Test func headsKeepTheirHeaders() throws {
        let response = try HeadAnswer.response([
            "statusCode": 200,
            "headers": [
                "Content-Length": 5, "ETag": "\"e\"", "x-amz-meta-a": "b", "Set-Cookie": "no", "Content-Type": "",
            ],
        ])
        #expect(response.headers.map(\.name) == ["Content-Length", "ETag", "x-amz-meta-a"])
    }

    @Test func errorsAndNonsense() {
        #expect(throws: AWSError("NoSuchKey", status: 404, "gone")) {
            try HeadAnswer.response(["statusCode": 404, "errorCode": "NoSuchKey", "errorMessage": "gone"])
        }
        for wrong: Value in [[:], ["statusCode": "200"], ["statusCode": 99], ["statusCode": .double(1e300)], .null] {
            #expect(throws: AWSError.self) { try HeadAnswer.response(wrong) }
        }
        #expect(throws: AWSError.self) { try ListAnswer.response(["statusCode": 200], operation: "ListObjects") }
        #expect(throws: AWSError.self) {
            try ListAnswer.response(
                ["statusCode": 200, "listBucketResult": ["contents": [["size": 1]]]], operation: "ListObjectsV2")
        }
    }

    @Test func listsInBothSpellings() throws {
        for item: Value in [["key": "a", "eTag": "e", "size": 3], ["Key": "a", "ETag": "e", "Size": "3"]] {
            let response = try ListAnswer.response(
                ["statusCode": 200, "listBucketResult": ["contents": item, "isTruncated": "false"]],
                operation: "ListObjectsV2")
            #expect(response.output["Contents"]?.list?.first == ["Key": "a", "ETag": "e", "Size": 3])
            #expect(response.output["IsTruncated"] == false)
        }
    }

    @Test func failuresOfFunctions() {
        func code(_ result: Result<InvocationResult, any Error>) -> String? {
            (ObjectLambdaError.failure(of: result) as? AWSError)?.code
        }
        func failed(_ payload: String) -> Result<InvocationResult, any Error> {
            .success(
                InvocationResult(
                    payload: ByteBuffer(string: payload), functionError: "Unhandled", executedVersion: "1", logTail: nil
                ))
        }
        #expect(code(failed("{\"errorType\":\"ValueError\"}")) == "LambdaRuntimeError")
        #expect(code(failed("{\"errorType\":\"Sandbox.Timedout\"}")) == "LambdaTimeout")
        #expect(code(failed("nonsense")) == "LambdaRuntimeError")
        #expect(code(.failure(AWSError("ResourceNotFoundException", status: 404, ""))) == "LambdaNotFound")
        #expect(code(.failure(AWSError("AccessDeniedException", status: 403, ""))) == "LambdaPermissionError")
        #expect(code(.failure(AWSError("TooManyRequestsException", status: 429, ""))) == "SlowDown")
        #expect(code(.failure(AWSError("ServiceException", status: 500, ""))) == "LambdaInvocationFailed")
    }
}
