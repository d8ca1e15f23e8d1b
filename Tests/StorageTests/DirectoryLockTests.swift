import Glibc
import Platform
import Testing

@testable import Storage

@Suite struct DirectoryLockTests {
    private func directory() throws -> String {
        var name = Array("/tmp/martlet-lock-XXXXXX".utf8CString)
        let made = name.withUnsafeMutableBufferPointer { $0.baseAddress.flatMap { mkdtemp($0) } }
        return String(cString: try #require(made))
    }

    @Test func theSecondIsToldWhoIsThere() throws {
        let directory = try directory()
        defer {
            unlink(directory + "/martlet.lock")
            rmdir(directory)
        }
        let first = try DirectoryLock(directory: directory)
        var pauses = 0
        let failure = #expect(throws: Failure.self) { try DirectoryLock(directory: directory) { pauses += 1 } }
        #expect(failure?.message.contains("in use by process \(getpid())") == true)
        #expect(pauses == DirectoryLock.attempts - 1)
        first.release()
        _ = try DirectoryLock(directory: directory)
    }

    /// What a killed server had just begun to start holds the lock a moment longer.
    @Test func aLockThatGoesSoonIsWaitedFor() throws {
        let directory = try directory()
        defer {
            unlink(directory + "/martlet.lock")
            rmdir(directory)
        }
        let first = try DirectoryLock(directory: directory)
        var pauses = 0
        let second = try DirectoryLock(directory: directory) {
            pauses += 1
            if pauses == 3 { first.release() }
        }
        #expect(pauses == 3)
        second.release()
    }
}
