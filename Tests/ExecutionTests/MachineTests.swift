import Contracts
import NIOCore
import Platform
import Testing

@testable import Execution

/// Drives a machine and keeps what it did.
private final class Driver {
    var machine: EnvironmentMachine
    var now: UInt64 = 1_000_000_000
    var log: [String] = []
    var answers: [EnvironmentMachine.Finish] = []
    var failures = 0
    var reply: RuntimeReply?

    init(timeout: Int = 3, freeze: UInt64? = 50_000_000) {
        var settings = EnvironmentMachine.Settings(timeoutSeconds: timeout)
        settings.freezeDelay = freeze
        machine = EnvironmentMachine(settings: settings)
    }

    func take(_ actions: [EnvironmentMachine.Action]) {
        for action in actions {
            switch action {
            case .launchCell: log.append("launch")
            case .startRuntime(let process, let phase): log.append("start \(process) \(phase.rawValue)")
            case .thaw: log.append("thaw")
            case .freeze: log.append("freeze")
            case .deliver(let poll, let invocation, _): log.append("deliver \(invocation.requestID) to \(poll)")
            case .finish(let finish):
                log.append("finish \(finish.requestID)")
                answers.append(finish)
            case .fail:
                log.append("fail")
                failures += 1
            case .giveBack:
                log.append("give back")
                failures += 1
            case .reportInit(let report): log.append("init \(report.phase.rawValue) \(report.status)")
            case .killAll: log.append("kill")
            case .destroyCell: log.append("destroy")
            case .tellIdle: log.append("idle")
            case .tellEnded: log.append("ended")
            }
        }
    }

    @discardableResult
    func invoke(_ id: String) -> Bool {
        let (refusal, actions) = machine.invocationArrived(invocation(id), now: now)
        take(actions)
        return refusal == nil
    }
    func endStream(_ id: String, _ body: RuntimeBody = .result(ByteBuffer())) {
        let (reply, actions) = machine.streamEnded(requestID: id, body, now: now)
        self.reply = reply
        take(actions)
    }
    func next(_ poll: PollID) { take(machine.runtimeNext(poll, now: now)) }
    func respond(_ id: String, _ body: RuntimeBody = .result(ByteBuffer(string: "ok"))) {
        let (reply, actions) = machine.runtimeResponse(requestID: id, body, now: now)
        self.reply = reply
        take(actions)
    }
    func streamBegan(_ id: String) -> Bool { machine.streamBegan(requestID: id) }
    func pass(_ seconds: Double) {
        now += UInt64(seconds * 1e9)
        take(machine.tick(now: now))
    }
    func exit(_ end: ProcessEnd) { take(machine.processExited(process: machine.process, end, now: now)) }

    /// To the first idle.
    static func ready(timeout: Int = 3) -> Driver {
        let driver = Driver(timeout: timeout)
        driver.take(driver.machine.start())
        driver.take(driver.machine.cellReady(now: driver.now))
        driver.now += 100_000_000
        driver.next(1)
        driver.log.removeAll()
        return driver
    }

    func takeLog() -> [String] {
        defer { log.removeAll() }
        return log
    }
}

private func invocation(_ id: String) -> Invocation {
    var invocation = Invocation(requestID: id, payload: ByteBuffer(string: "{}"), invokedFunctionARN: "arn")
    // Of every second one the caller wants the response while it is made.
    if id.utf8.last.map({ $0 % 2 == 1 }) == true { invocation.stream = ResponseStream(executedVersion: "1") { _ in } }
    return invocation
}

private func text(_ finish: EnvironmentMachine.Finish?) -> String {
    finish.map { String(buffer: $0.payload) } ?? "none"
}

struct MachineTests {
    @Test func coldStartWithAnInvocationWaiting() {
        let d = Driver()
        d.take(d.machine.start())
        #expect(d.invoke("a"))
        d.take(d.machine.cellReady(now: d.now))
        d.now += 250_000_000
        d.next(1)
        d.now += 5_000_000
        d.respond("a")
        #expect(d.takeLog() == ["launch", "start 1 init", "init init success", "deliver a to 1", "finish a"])
        #expect(d.answers[0].initDuration == 250_000_000)
        #expect(d.answers[0].duration == 5_000_000)
        d.next(2)
        #expect(d.takeLog() == ["idle"])
        d.invoke("b")
        d.respond("b")
        #expect(d.answers[1].initDuration == nil)
    }

    @Test func freezesAfterADelayAndThaws() {
        let d = Driver.ready()
        d.pass(0.049)
        #expect(d.takeLog().isEmpty)
        d.pass(0.001)
        #expect(d.takeLog() == ["freeze"])
        #expect(d.machine.wakeAt == nil)
        d.invoke("a")
        #expect(d.takeLog() == ["thaw", "deliver a to 1"])
    }

    @Test func timeoutResetsAndInitRunsAgain() {
        let d = Driver.ready()
        d.invoke("a")
        d.pass(2.999)
        #expect(d.takeLog() == ["deliver a to 1"])
        d.pass(0.001)
        #expect(d.takeLog() == ["finish a", "kill"])
        #expect(
            text(d.answers.last)
                == #"{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: a Error: Task timed out after 3.00 seconds"}"#
        )
        #expect(d.answers.last?.status == .timeout)
        #expect(d.answers.last?.duration == 3_000_000_000)
        // The dead process has nothing more to say.
        d.next(7)
        d.exit(.signaled(9))
        d.respond("a")
        #expect(d.reply == .invalidRequestID)
        d.take(d.machine.allKilled(now: d.now))
        #expect(d.takeLog() == ["idle"])
        d.invoke("b")
        #expect(d.takeLog() == ["start 2 invoke"])
        d.now += 1_000_000_000
        d.next(8)
        d.now += 500_000_000
        d.respond("b")
        #expect(d.takeLog() == ["init invoke success", "deliver b to 8", "finish b"])
        #expect(d.answers.last?.duration == 1_500_000_000, "suppressed init is part of the invocation")
        #expect(d.answers.last?.initDuration == nil)
    }

    @Test func suppressedInitIsUnderTheFunctionTimeout() {
        let d = Driver.ready()
        d.invoke("a")
        d.exit(.exited(1))
        d.take(d.machine.allKilled(now: d.now))
        d.invoke("b")
        _ = d.takeLog()
        d.pass(3)
        #expect(d.takeLog() == ["init invoke timeout", "finish b", "kill"])
        #expect(d.answers.last?.status == .timeout)
    }

    @Test func slowInitIsRepeatedInsideTheWaitingInvocation() {
        let d = Driver()
        d.take(d.machine.start())
        d.take(d.machine.cellReady(now: d.now))
        d.pass(5)
        d.invoke("a")
        d.pass(5)
        #expect(d.takeLog() == ["launch", "start 1 init", "init init timeout", "kill"])
        d.take(d.machine.allKilled(now: d.now))
        #expect(d.takeLog() == ["start 2 invoke"])
        d.next(1)
        #expect(d.takeLog() == ["init invoke success", "deliver a to 1"])
    }

    @Test func slowInitWithoutACaller() {
        let d = Driver()
        d.take(d.machine.start())
        d.take(d.machine.cellReady(now: d.now))
        d.pass(10)
        d.take(d.machine.allKilled(now: d.now))
        #expect(d.takeLog() == ["launch", "start 1 init", "init init timeout", "kill", "idle"])
    }

    /// A failed first init is run again inside the invocation; what the second one posts is the answer.
    @Test func initErrorGoesToTheWaitingCallerAsPosted() {
        let d = Driver()
        d.take(d.machine.start())
        d.invoke("a")
        d.take(d.machine.cellReady(now: d.now))
        let posted = ByteBuffer(string: #"{"errorMessage":"x","requestId":""}"#)
        func fail(after wait: UInt64) {
            d.now += wait
            let (reply, actions) = d.machine.runtimeInitError(
                payload: posted, type: "Runtime.ImportModuleError", now: d.now)
            d.take(actions)
            #expect(reply == .accepted)
        }
        fail(after: 500_000_000)
        #expect(d.answers.isEmpty)
        #expect(
            d.takeLog() == ["launch", "start 1 init", #"init init error("Runtime.ImportModuleError")"#, "kill"])
        d.take(d.machine.allKilled(now: d.now))
        fail(after: 200_000_000)
        #expect(d.answers.map(\.payload) == [posted])
        #expect(d.answers.first?.status == .error("Runtime.ImportModuleError"))
        #expect(d.answers.first?.duration == 200_000_000, "the second init is part of the invocation")
        #expect(
            d.takeLog() == ["start 2 invoke", #"init invoke error("Runtime.ImportModuleError")"#, "finish a", "kill"])
        let (second, none) = d.machine.runtimeInitError(payload: posted, type: "x", now: d.now)
        #expect(second == .wrongOrder(from: "InitError", to: "InitError"))
        #expect(none.isEmpty)
    }

    @Test(arguments: [
        (ProcessEnd.exited(0), "Runtime exited without providing a reason", "Runtime.ExitError"),
        (.exited(127), "Runtime exited with error: exit status 127", "Runtime.ExitError"),
        (.signaled(11), "Runtime exited with error: signal: segmentation fault", "Runtime.ExitError"),
        (.signaled(9), "Runtime exited with error: signal: killed", "Runtime.ExitError"),
        (.outOfMemory, "Runtime exited with error: signal: killed", "Runtime.OutOfMemory"),
    ])
    func exitInsideAnInvocation(end: ProcessEnd, message: String, type: String) {
        let d = Driver.ready()
        d.invoke("a")
        d.exit(end)
        #expect(
            text(d.answers.last)
                == "{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: a Error: \(message)\"}")
        #expect(d.answers.last?.status == .error(type))
        #expect(d.takeLog() == ["deliver a to 1", "finish a", "kill"])
    }

    @Test func exitBetweenInvocationsIsOwedToTheNextCaller() {
        let d = Driver.ready()
        d.exit(.exited(0))
        d.take(d.machine.allKilled(now: d.now))
        #expect(d.takeLog() == ["kill"], "the owner was told already that it is idle")
        d.invoke("a")
        #expect(d.takeLog() == ["finish a", "idle"])
        #expect(text(d.answers.last).contains("without providing a reason"))
        d.invoke("b")
        #expect(d.takeLog() == ["start 2 invoke"])
    }

    @Test func tooMuchMemory() {
        func tooMuch(_ d: Driver) { d.take(d.machine.memoryExceeded(process: d.machine.process, now: d.now)) }
        let running = Driver.ready()
        running.invoke("a")
        running.take(running.machine.memoryExceeded(process: 0, now: running.now))
        #expect(running.takeLog() == ["deliver a to 1"], "of an earlier process")
        tooMuch(running)
        tooMuch(running)
        running.exit(.signaled(9))
        #expect(running.takeLog() == ["finish a", "kill"])
        #expect(running.answers.last?.status == .error("Runtime.OutOfMemory"))
        #expect(text(running.answers.last).contains("RequestId: a Error: Runtime exited with error: signal: killed"))

        // Seen after the answer: the next caller is told.
        for alreadyThere in [true, false] {
            let d = Driver.ready()
            d.invoke("a")
            d.respond("a")
            if alreadyThere { d.invoke("b") }
            tooMuch(d)
            if !alreadyThere { d.invoke("b") }
            #expect(Set(d.takeLog()) == ["deliver a to 1", "finish a", "kill", "finish b"])
            #expect(d.answers.last?.status == .error("Runtime.OutOfMemory"))
            d.take(d.machine.allKilled(now: d.now))
            d.invoke("c")
            #expect(d.takeLog() == ["idle", "start 2 invoke"])
        }

        let idle = Driver.ready()
        tooMuch(idle)
        idle.invoke("a")
        #expect(idle.takeLog() == ["kill", "finish a"])

        let starting = Driver()
        starting.take(starting.machine.start())
        starting.take(starting.machine.cellReady(now: starting.now))
        starting.invoke("a")
        tooMuch(starting)
        #expect(
            starting.takeLog() == [
                "launch", "start 1 init", "init init error(\"Runtime.OutOfMemory\")", "kill",
            ])
        starting.take(starting.machine.allKilled(now: starting.now))
        tooMuch(starting)
        #expect(
            starting.takeLog() == [
                "start 2 invoke", "init invoke error(\"Runtime.OutOfMemory\")", "finish a", "kill",
            ])
    }

    @Test func exitBetweenInvocationsToldWhileResetting() {
        let d = Driver.ready()
        d.exit(.exited(0))
        d.invoke("a")
        d.take(d.machine.allKilled(now: d.now))
        #expect(d.takeLog() == ["kill", "finish a", "idle"])
    }

    @Test func exitAfterTheAnswerIsSilent() {
        let d = Driver.ready()
        d.invoke("a")
        d.respond("a")
        d.exit(.exited(0))
        d.take(d.machine.allKilled(now: d.now))
        #expect(d.takeLog() == ["deliver a to 1", "finish a", "kill", "idle"])
        d.invoke("b")
        #expect(d.takeLog() == ["start 2 invoke"])
    }

    @Test func runtimeThatDoesNotComeBackIsResetAtTheDeadline() {
        let d = Driver.ready()
        d.invoke("a")
        d.respond("a")
        d.pass(3)
        #expect(d.takeLog() == ["deliver a to 1", "finish a", "kill"])
    }

    @Test func nextEventMayComeBeforeTheRuntimeAsksAgain() {
        let d = Driver.ready()
        #expect(d.invoke("a"))
        #expect(!d.invoke("b"), "it runs")
        d.respond("a")
        #expect(d.invoke("b"))
        #expect(!d.invoke("c"), "one only")
        d.take(d.machine.shutdown(now: d.now))
        d.next(2)
        d.respond("b")
        #expect(d.takeLog() == ["deliver a to 1", "finish a", "deliver b to 2", "finish b", "destroy"])
    }

    @Test func followingEventOutlivesTheRuntime() {
        let exited = Driver.ready()
        exited.invoke("a")
        exited.respond("a")
        exited.invoke("b")
        exited.exit(.exited(1))
        exited.take(exited.machine.allKilled(now: exited.now))
        #expect(exited.takeLog() == ["deliver a to 1", "finish a", "kill", "start 2 invoke"])

        let gone = Driver.ready()
        gone.invoke("a")
        gone.respond("a")
        gone.invoke("b")
        gone.take(gone.machine.cellGone(Failure(.sandbox, "gone")))
        #expect(gone.takeLog() == ["deliver a to 1", "finish a", "give back", "destroy"])
    }

    @Test func asksAgainWithoutAnswering() {
        let d = Driver.ready()
        d.invoke("a")
        d.next(2)
        #expect(d.takeLog() == ["deliver a to 1", "deliver a to 2"])
        d.respond("a")
        #expect(d.reply == .accepted)
        #expect(d.answers.count == 1)
    }

    @Test func duplicateAndUnknownAnswers() {
        let d = Driver.ready()
        d.respond("a")
        #expect(d.reply == .invalidRequestID)
        d.invoke("a")
        d.respond("z")
        #expect(d.reply == .invalidRequestID)
        d.respond("a")
        d.respond("a")
        #expect(d.reply == .wrongOrder(from: "ResponseSent", to: "InvocationResponse"))
        d.respond("a", .error(ByteBuffer(), type: "x"))
        #expect(d.reply == .wrongOrder(from: "ResponseSent", to: "InvocationErrorResponse"))
        #expect(d.answers.count == 1)
    }

    @Test func tooLargeAndBadMode() {
        let d = Driver.ready()
        d.invoke("a")
        d.respond("a", .tooLarge)
        #expect(d.reply == .tooLarge)
        #expect(d.answers.last?.isError == true)
        d.next(2)
        d.invoke("b")
        d.respond("b", .invalidMode)
        #expect(d.reply == .invalidResponseMode)
        #expect(d.answers.last?.status == .error("Runtime.InvalidResponseModeHeader"))
    }

    /// Ids that end with an odd byte are asked for as streams: `a` is 97.
    @Test func responsesThatStream() {
        let d = Driver.ready()
        d.invoke("a")
        #expect(!d.streamBegan("x"))
        #expect(d.machine.stream(of: "a") == nil)
        #expect(d.streamBegan("a"))
        #expect(!d.streamBegan("a"))
        #expect(d.machine.stream(of: "a") != nil && d.machine.stream(of: "x") == nil)
        d.respond("a")
        #expect(d.reply == .wrongOrder(from: "Running", to: "InvocationResponse"))
        d.endStream("a")
        #expect(d.reply == .accepted && d.answers.last?.isError == false)
        #expect(d.machine.stream(of: "a") == nil)
        // A caller that wants the whole does not get pieces.
        d.next(2)
        d.invoke("b")
        #expect(!d.streamBegan("b"))
        d.respond("b")
        #expect(d.reply == .accepted)
    }

    @Test(arguments: ["next", "break", "large", "timeout", "exit", "lost"])
    func streamsThatEndBadly(how: String) {
        let d = Driver.ready()
        d.invoke("a")
        _ = d.machine.streamBegan(requestID: "a")
        let type: String
        switch how {
        case "next":
            d.next(2)
            type = "Runtime.TruncatedResponse"
        case "break":
            d.endStream("a", .truncated)
            type = "Runtime.TruncatedResponse"
        case "large":
            d.endStream("a", .streamTooLarge)
            #expect(d.reply == .streamTooLarge)
            type = "Function.ResponseSizeTooLarge"
        case "timeout":
            d.pass(3)
            type = "Sandbox.Timedout"
        case "exit":
            d.exit(.exited(1))
            type = "Runtime.ExitError"
        default:
            d.take(d.machine.cellGone(Failure(.sandbox, "gone")))
            #expect(d.failures == 1 && d.answers.isEmpty)
            return
        }
        #expect(d.answers.count == 1 && d.answers.last?.isError == true)
        #expect(text(d.answers.last).contains("\"errorType\":\"\(type)\""), "\(text(d.answers.last))")
        // What still comes of it is nobody's.
        d.endStream("a")
        #expect(d.reply == .invalidRequestID && d.answers.count == 1)
    }

    @Test func lostPollWaitsForTheNext() {
        let d = Driver.ready()
        d.machine.pollClosed(1)
        d.invoke("a")
        #expect(d.takeLog().isEmpty)
        d.respond("a")
        #expect(d.reply == .invalidRequestID, "never delivered, never answered")
        d.next(2)
        #expect(d.takeLog() == ["deliver a to 2"])
    }

    @Test func shutdownInEachState() {
        let created = Driver()
        created.take(created.machine.shutdown(now: 0))
        #expect(created.takeLog() == ["ended"])

        let starting = Driver()
        starting.take(starting.machine.start())
        starting.take(starting.machine.shutdown(now: 0))
        starting.take(starting.machine.cellReady(now: 0))
        starting.take(starting.machine.cellDestroyed())
        #expect(starting.takeLog() == ["launch", "destroy", "ended"])

        let idle = Driver.ready()
        idle.pass(0.05)
        idle.take(idle.machine.shutdown(now: idle.now))
        #expect(!idle.invoke("late"))
        #expect(idle.takeLog() == ["freeze", "thaw", "destroy"])

        let running = Driver.ready()
        running.invoke("a")
        running.take(running.machine.shutdown(now: running.now))
        #expect(!running.invoke("b"))
        running.respond("a")
        running.take(running.machine.cellDestroyed())
        #expect(running.takeLog() == ["deliver a to 1", "finish a", "destroy", "ended"])
    }

    @Test func shutdownWhileInitWorksForACaller() {
        let d = Driver()
        d.take(d.machine.start())
        d.invoke("a")
        d.take(d.machine.shutdown(now: d.now))
        d.take(d.machine.cellReady(now: d.now))
        d.next(1)
        d.respond("a")
        #expect(
            d.takeLog() == ["launch", "start 1 init", "init init success", "deliver a to 1", "finish a", "destroy"])
    }

    @Test func lostCellFailsTheCaller() {
        let d = Driver.ready()
        d.invoke("a")
        d.take(d.machine.cellGone(Failure(.sandbox, "gone")))
        d.take(d.machine.cellDestroyed())
        #expect(d.takeLog() == ["deliver a to 1", "fail", "destroy", "ended"])
        #expect(!d.invoke("b"))
    }

    /// What the function has not had can be given to another environment; what it may have begun cannot.
    @Test func lostCellGivesBackWhatWasNotDelivered() {
        func lose(_ d: Driver) { d.take(d.machine.cellGone(Failure(.sandbox, "gone"))) }
        let undelivered = Driver.ready()
        undelivered.machine.pollClosed(1)
        undelivered.invoke("a")
        lose(undelivered)
        #expect(undelivered.takeLog() == ["give back", "destroy"])

        let initializing = Driver()
        initializing.take(initializing.machine.start())
        initializing.take(initializing.machine.cellReady(now: 0))
        initializing.invoke("a")
        lose(initializing)
        #expect(initializing.takeLog() == ["launch", "start 1 init", "give back", "destroy"])

        let late = Driver.ready()
        lose(late)
        #expect(late.machine.invocationArrived(invocation("a"), now: 0).refusal is NotDelivered)
        let shut = Driver.ready()
        shut.take(shut.machine.shutdown(now: shut.now))
        #expect(shut.machine.invocationArrived(invocation("a"), now: 0).refusal is NotDelivered)
        let busy = Driver.ready()
        busy.invoke("a")
        #expect(busy.machine.invocationArrived(invocation("b"), now: 0).refusal is Failure)
        let neverMade = Driver()
        neverMade.take(neverMade.machine.start())
        neverMade.take(neverMade.machine.cannotStart(.failed(Failure(.sandbox, "no"))))
        #expect(neverMade.machine.invocationArrived(invocation("a"), now: 0).refusal is Failure)
    }

    @Test func cannotStart() {
        let failed = Driver()
        failed.take(failed.machine.start())
        failed.invoke("a")
        failed.take(failed.machine.cannotStart(.failed(Failure(.sandbox, "no"))))
        #expect(failed.takeLog() == ["launch", "fail", "ended"])
        #expect(!failed.invoke("b"))

        let function = Driver()
        function.take(function.machine.start())
        function.take(function.machine.cannotStart(.function(.noBootstrap)))
        #expect(function.invoke("late"))
        #expect(function.takeLog() == ["launch", "ended", "finish late"])
    }

    @Test func processesThatCannotBeKilledCostTheCell() {
        let d = Driver.ready()
        d.invoke("a")
        d.pass(3)
        d.pass(10)
        #expect(d.takeLog() == ["deliver a to 1", "finish a", "kill", "destroy"])
    }

    /// Any order of events: every accepted invocation is answered once, nothing happens after the end, and a wake-up in the
    /// past always leads on.
    @Test(arguments: 0..<400)
    func anyOrder(seed: UInt64) {
        var random = SplitMix(state: seed)
        let d = Driver(timeout: 1, freeze: seed % 2 == 0 ? 50_000_000 : nil)
        var accepted: [String] = []
        var poll: PollID = 0
        d.take(d.machine.start())
        for step in 0..<200 {
            d.now += UInt64.random(in: 0...400_000_000, using: &random)
            let known = accepted.last ?? "none"
            switch Int.random(in: 0..<17, using: &random) {
            case 14: _ = d.machine.streamBegan(requestID: known)
            case 15: d.endStream(known)
            case 16: d.endStream(known, [.truncated, .streamTooLarge].randomElement(using: &random) ?? .truncated)
            case 0, 1: if d.invoke("r\(step)") { accepted.append("r\(step)") }
            case 2, 3, 4:
                poll += 1
                d.next(poll)
            case 5, 6: d.respond(known)
            case 7: d.respond(known, .error(ByteBuffer(string: "{}"), type: "t"))
            case 8: d.exit(.exited(1))
            case 9, 10: d.take(d.machine.allKilled(now: d.now))
            case 11: d.take(d.machine.tick(now: d.now))
            case 12: d.machine.pollClosed(poll)
            default:
                switch Int.random(in: 0..<40, using: &random) {
                case 0: d.take(d.machine.shutdown(now: d.now))
                case 1: d.take(d.machine.cellGone(Failure(.sandbox, "gone")))
                case 2..<20: d.take(d.machine.cellReady(now: d.now))
                case 20: d.take(d.machine.runtimeInitError(payload: ByteBuffer(), type: "t", now: d.now).1)
                case 21: d.take(d.machine.cellDestroyed())
                case 22, 23: d.take(d.machine.memoryExceeded(process: d.machine.process, now: d.now))
                default: break
                }
            }
            #expect(d.answers.count + d.failures <= accepted.count)
            #expect(Set(d.answers.map(\.requestID)).count == d.answers.count, "answered twice")
        }
        // Drive it to its end.
        d.take(d.machine.cellReady(now: d.now))
        d.take(d.machine.shutdown(now: d.now))
        for _ in 0..<20 {
            d.pass(11)
            d.take(d.machine.allKilled(now: d.now))
        }
        d.take(d.machine.cellDestroyed())
        #expect(d.answers.count + d.failures == accepted.count, "\(d.log)")
        #expect(d.log.filter { $0 == "ended" }.count == 1)
        #expect(d.log.filter { $0 == "destroy" }.count <= 1)
        let end = d.log.count
        d.next(999)
        d.exit(.exited(0))
        d.take(d.machine.shutdown(now: d.now) + d.machine.allKilled(now: d.now) + d.machine.cellDestroyed())
        #expect(d.log.count == end, "something happened after the end")
    }
}

/// Steele, Lea and Flood's SplitMix64.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
