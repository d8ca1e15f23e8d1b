// How many evaluations of a five-field pattern a second one core makes (SPECIFICATION.md; goal: a million).
//
//     swift build -c release --product pattern-bench && .build/release/pattern-bench
//
// Counted in the process's CPU time, over events that match and events that fail at the last field.

import EventPatterns
import Glibc
import Platform

func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

let pattern = """
    {"source":["aws.ec2","com.example.orders"],"detail-type":[{"prefix":"EC2 Instance"}],"account":["111122223333"],
     "detail":{"state":["running",{"anything-but":["stopped","terminated"]}],"c-count":[{"numeric":[">",0,"<=",5]}]}}
    """
func event(count: Int) -> String {
    """
    {"version":"0","id":"6a7e8feb-b491-4cf7-a9f1-bf3703467718","detail-type":"EC2 Instance State-change Notification",
     "source":"aws.ec2","account":"111122223333","time":"2026-11-23T18:43:48Z","region":"us-west-1",
     "resources":["arn:aws:ec2:us-west-1:111122223333:instance/i-1234567890abcdef0"],
     "detail":{"instance-id":"i-1234567890abcdef0","state":"pending","c-count":\(count),"x-limit":301.8}}
    """
}

let compiled = try EventPattern(json: Array(pattern.utf8), dialect: .eventBridge)
let bytes = [Array(event(count: 3).utf8), Array(event(count: 9).utf8)]
let events = try bytes.map { try JSON.parse($0) }
let rounds = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 1_000_000 : 1_000_000

func measure(_ name: String, _ body: (Int) throws -> Bool) rethrows {
    var matched = 0
    let start = processorSeconds()
    for round in 0..<rounds where try body(round) { matched += 1 }
    let seconds = processorSeconds() - start
    let rate = Int(Double(rounds) / seconds)
    print(
        "\(name): \(rate) evaluations/s, \(Int(seconds / Double(rounds) * 1e9)) ns each, \(matched) of \(rounds) matched"
    )
}

measure("five fields, parsed event") { compiled.matches(events[$0 & 1]) }
try measure("five fields, event from its bytes") { compiled.matches(try JSON.parse(bytes[$0 & 1])) }
