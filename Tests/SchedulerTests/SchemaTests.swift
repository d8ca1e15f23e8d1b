import Testing
import Wire

@testable import Scheduler

@Test func theSchemaIsReadable() throws {
    _ = try ServiceSchema(text: SchedulerSchema.text)
}
