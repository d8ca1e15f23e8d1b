import Contracts
import Platform
import Storage
import Testing
import Wire

@testable import Scheduler

@Suite struct ScheduleTests {
    @Test func schedulesFire() async throws {
        let harness = try await Harness()
        let arn = try await harness.schedule(
            "s", "rate(1 minute)",
            target: [
                "Input":
                    #"{"a":"<aws.scheduler.schedule-arn>","t":"<aws.scheduler.scheduled-time>","n":"<aws.scheduler.attempt-number>","e":"<aws.scheduler.execution-id>","x":"<aws.scheduler.other>"}"#,
                "DeadLetterConfig": ["Arn": "arn:aws:sqs:us-east-1:000000000000:dead"],
                "RetryPolicy": ["MaximumRetryAttempts": 2],
            ])
        #expect(arn == "arn:aws:scheduler:us-east-1:000000000000:schedule/default/s")
        try await harness.fire(3, total: 3)
        let bodies = try harness.outbox.texts.map { try JSON.parse($0) }
        // The first may have been fired before this test looked for the next time.
        #expect(
            bodies.prefix(3).map { $0["t"]?.string ?? "" } == [
                "2026-11-23T06:00:00Z", "2026-11-23T06:01:00Z", "2026-11-23T06:02:00Z",
            ])
        #expect(bodies.first?["a"]?.string == arn && bodies.first?["n"] == "1")
        #expect(bodies.first?["x"] == "<aws.scheduler.other>")
        #expect(Set(bodies.compactMap { $0["e"]?.string }).count == bodies.count)
        let delivery = try #require(harness.outbox.deliveries.first)
        #expect(
            delivery.principal == .roleSession(roleARN: Harness.role, sessionName: "s", account: Harness.account))
        #expect(delivery.retry == DeliveryRetry(maximumRetries: 2, maximumAge: .seconds(86_400)))
        #expect(
            delivery.deadLetter?.source.map(\.name) == [
                "SCHEDULE_ARN", "EXECUTION_ID", "SCHEDULED_TIME", "IS_PAYLOAD_TRUNCATED",
            ])
        #expect(
            delivery.deadLetter?.source.dropFirst(2).map(\.content) == [
                .string("2026-11-23T06:00:00Z"), .string("false"),
            ])
    }

    @Test func onceThenGone() async throws {
        let harness = try await Harness()
        try await harness.schedule(
            "gone", "at(2026-11-23T07:30:00)",
            [
                "ActionAfterCompletion": "DELETE", "ScheduleExpressionTimezone": "Europe/Berlin",
            ])
        try await harness.schedule("kept", "at(2026-11-23T06:31:00)")
        try await harness.fire(total: 1)
        #expect(harness.time.now().iso8601() == "2026-11-23T06:30:00Z")
        let event = try JSON.parse(harness.outbox.texts.first ?? "")
        #expect(event["source"] == "aws.scheduler" && event["detail"] == "{}")
        #expect(await harness.error("GetSchedule", ["Name": "gone"])?.message == "Schedule gone does not exist.")
        try await harness.fire(total: 2)
        let kept = try await harness.call("GetSchedule", ["Name": "kept"])
        #expect(kept["State"] == "ENABLED")
        // Other changes do not make it fire again, neither does sending everything once more.
        for description in ["a", "b"] {
            try await harness.schedule(
                "kept", "at(2026-11-23T06:31:00)", ["Description": .string(description)], operation: "UpdateSchedule")
        }
        let due = try await harness.database.read { try ScheduleTable.nextDue(in: $0) }
        #expect(due == nil)
        try await harness.schedule("kept", "at(2026-11-23T06:40:00)", operation: "UpdateSchedule")
        try await harness.fire(total: 3)
    }

    @Test func disabledAndDeleted() async throws {
        let harness = try await Harness()
        try await harness.schedule("s", "rate(1 minute)", ["State": "DISABLED"])
        harness.time.advance(by: .seconds(600))
        #expect(harness.outbox.deliveries.isEmpty)
        try await harness.schedule("s", "rate(1 minute)", operation: "UpdateSchedule")
        try await harness.fire(total: 1)
        try await harness.call("DeleteSchedule", ["Name": "s"])
        harness.time.advance(by: .seconds(600))
        #expect(harness.outbox.deliveries.count == 1)
        #expect(await harness.error("DeleteSchedule", ["Name": "s"])?.status == 404)
    }

    @Test func groups() async throws {
        let harness = try await Harness()
        try await harness.call("CreateScheduleGroup", ["Name": "g", "Tags": [["Key": "k", "Value": "v"]]])
        for number in 0..<5 { try await harness.schedule("s\(number)", "rate(1 minute)", ["GroupName": "g"]) }
        try await harness.schedule("s0", "rate(2 minutes)")
        #expect(await harness.error("CreateScheduleGroup", ["Name": "g"])?.code == "ConflictException")
        var names: [String] = []
        var input: Value = ["MaxResults": 2]
        while true {
            let page = try await harness.call("ListSchedules", input)
            names += (page["Schedules"]?.list ?? []).map {
                "\($0["GroupName"]?.string ?? "")/\($0["Name"]?.string ?? "")"
            }
            guard let token = page["NextToken"] else { break }
            input["NextToken"] = token
        }
        #expect(names == ["default/s0", "g/s0", "g/s1", "g/s2", "g/s3", "g/s4"])
        let some = try await harness.call("ListSchedules", ["GroupName": "g", "NamePrefix": "s3"])
        #expect(some["Schedules"]?.list?.count == 1)
        let groups = try await harness.call("ListScheduleGroups", [:])
        #expect((groups["ScheduleGroups"]?.list ?? []).compactMap { $0["Name"]?.string } == ["default", "g"])
        let arn: Value = "arn:aws:scheduler:us-east-1:000000000000:schedule-group/g"
        #expect(
            try await harness.call("ListTagsForResource", ["ResourceArn": arn])["Tags"] == [["Key": "k", "Value": "v"]])
        try await harness.call("DeleteScheduleGroup", ["Name": "g"])
        #expect(await harness.error("GetScheduleGroup", ["Name": "g"])?.message == "Schedule group g does not exist.")
        #expect(
            await harness.error("GetSchedule", ["Name": "s1", "GroupName": "g"])?.code == "ResourceNotFoundException")
        #expect(try await harness.call("ListSchedules", [:])["Schedules"]?.list?.count == 1)
        #expect(await harness.error("DeleteScheduleGroup", ["Name": "default"])?.code == "ValidationException")
        #expect(await harness.error("ListSchedules", ["NextToken": "no"])?.code == "ValidationException")
    }

    /// Dates of the group that nobody makes: from the first look at it, for ever.
    @Test(arguments: [false, true]) func theDefaultGroupHasDates(isListedFirst: Bool) async throws {
        let harness = try await Harness()
        let began = harness.time.now()
        if isListedFirst {
            try await harness.call("ListScheduleGroups", [:])
        } else {
            try await harness.schedule("s", "rate(2 days)")
        }
        harness.time.advance(by: .seconds(3_600))
        let group = try await harness.call("GetScheduleGroup", ["Name": "default"])
        #expect(group["CreationDate"]?.timestamp == began && group["LastModificationDate"]?.timestamp == began)
        let tagged: Value = [
            "ResourceArn": "arn:aws:scheduler:us-east-1:000000000000:schedule-group/default",
            "Tags": [["Key": "k", "Value": "v"]],
        ]
        try await harness.call("TagResource", tagged)
        let groups = try await harness.call("ListScheduleGroups", [:])["ScheduleGroups"]?.list ?? []
        #expect(groups.map { $0["CreationDate"]?.timestamp } == [began])
    }

    @Test func whatCreateRefuses() async throws {
        let harness = try await Harness()
        func message(_ expression: String = "rate(1 minute)", _ more: Fields = [:], target: Fields = [:]) async
            -> String?
        {
            do {
                try await harness.schedule("s", expression, more, target: target)
                return nil
            } catch { return (error as? AWSError)?.message }
        }
        let now = harness.time.now()
        #expect(await message(" rate(10 minutes)") == "Invalid Schedule Expression  rate(10 minutes).")
        #expect(await message("at(2021-12-31)") == "Invalid Schedule Expression at(2021-12-31).")
        #expect(
            await message("rate(1 minute)", ["ScheduleExpressionTimezone": "../../etc/passwd"])?.contains("Timezone")
                == true)
        #expect(
            await message("rate(1 minute)", ["ScheduleExpressionTimezone": "Mars/Olympus"])?.contains("Timezone")
                == true)
        #expect(
            await message("rate(1 minute)", ["StartDate": .timestamp(now - .seconds(301))])
                == "The StartDate you specify cannot be earlier than 5 minutes ago.")
        #expect(
            await message(
                "rate(1 minute)",
                ["StartDate": .timestamp(now + .seconds(60)), "EndDate": .timestamp(now + .seconds(30))])
                == "The EndDate you specify must come after the StartDate.")
        #expect(await message("rate(1 minute)", ["FlexibleTimeWindow": ["Mode": "FLEXIBLE"]]) != nil)
        for (arn, part) in [
            ("arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "universal"),
            ("arn:aws:states:us-east-1:0:stateMachine:x", "states"),
            ("arn:aws:kinesis:us-east-1:000000000000:stream/x", "KinesisParameters"),
            ("arn:aws:events:us-east-1:000000000000:event-bus/x", "EventBridgeParameters"), ("nonsense", "ARN"),
            ("arn:aws:sqs:us-east-1:000000000000:x.fifo", "MessageGroupId"),
        ] {
            #expect(await message(target: ["Arn": .string(arn)])?.contains(part) == true)
        }
        #expect(await message(target: ["RoleArn": "arn:aws:iam::111111111111:role/x"])?.contains("assume") == true)
        #expect(await message("rate(1 minute)", ["GroupName": "g"]) == "Schedule group g does not exist.")
        #expect(await message("rate(1 minute)", ["ClientToken": "t"]) == nil)
        #expect(await message("rate(1 minute)", ["ClientToken": "t"]) == nil)
        #expect(await message() == "Schedule s already exists.")
        harness.authorizer.set("scheduler:GetSchedule", .notAllowed)
        #expect(await harness.error("GetSchedule", ["Name": "s"])?.status == 403)
    }

    @Test func whatGetShows() async throws {
        let harness = try await Harness()
        let start = harness.time.now() + .seconds(3_600)
        try await harness.schedule("s", "cron(0 9 ? * MON *)", ["StartDate": .timestamp(start), "Description": "d"])
        let shown = try await harness.call("GetSchedule", ["Name": "s"])
        #expect(shown["StartDate"] == .timestamp(start))
        #expect(shown["ScheduleExpressionTimezone"] == "UTC" && shown["ActionAfterCompletion"] == "NONE")
        #expect(
            shown["Target"]?["RetryPolicy"] == ["MaximumEventAgeInSeconds": 86_400, "MaximumRetryAttempts": 185])
        #expect(shown["ClientToken"] == nil && shown["Anchor"] == nil)
        let due = try await harness.database.read { try ScheduleTable.nextDue(in: $0) }
        #expect(due?.iso8601() == "2026-11-23T09:00:00Z")
    }

    /// A new process goes on where the old one was.
    @Test func afterARestart() async throws {
        let first = try await Harness()
        try await first.schedule("s", "rate(1 hour)", ["StartDate": .timestamp(first.time.now() + .seconds(60))])
        let second = try await Harness(first.database)
        second.time.advance(by: .seconds(60))
        try await waitUntil(second.time) { second.outbox.deliveries.count == 1 }
        #expect(first.outbox.deliveries.isEmpty)
        let due = try await second.database.read { try ScheduleTable.nextDue(in: $0) }
        #expect(due == second.time.now() + .seconds(3_600))
    }
}
