import Contracts
import Platform
import Storage
import Wire

/// The source that a mapping names: it must be there, and the function's role must be allowed to read it.
extension LambdaService {
    func checkSource(
        _ record: MappingRecord, function: VersionRecord, _ links: EventSourceLinks, now: Instant,
        in transaction: any WriteTransaction
    ) throws {
        guard ARN(record.source)?.region == record.scope.region else {
            throw AWSError.invalidParameter("The event source and the function must be in the same Region.")
        }
        // The function's account, whatever its role says.
        let principal = Principal.roleSession(
            roleARN: function.configuration.role ?? "", sessionName: record.function, account: record.scope.account)
        if record.isStream {
            try checkStream(record, principal, links, in: transaction)
        } else {
            try checkQueue(record, function, principal, links.queues, now: now, in: transaction)
        }
    }

    private func checkQueue(
        _ record: MappingRecord, _ function: VersionRecord, _ principal: Principal, _ queues: any QueueSource,
        now: Instant, in transaction: any WriteTransaction
    ) throws {
        var call = "ReceiveMessage"
        let queue: QueueDescription
        do {
            // Of nothing: only whether it may.
            _ = try queues.receive(queue: record.source, maximum: 0, as: principal, now: now, in: transaction)
            call = "DeleteMessage"
            try queues.delete(queue: record.source, receiptHandles: [], as: principal, now: now, in: transaction)
            call = "GetQueueAttributes"
            queue = try queues.describe(queue: record.source, as: principal, in: transaction)
        } catch let error as AWSError where error.code.contains("AccessDenied") {
            throw AWSError.invalidParameter(
                "The provided execution role does not have permissions to call \(call) on SQS")
        } catch let error as AWSError {
            throw AWSError.invalidParameter(
                "Error occurred while ReceiveMessage. SQS Error Code: \(error.code). "
                    + "SQS Error Message: \(error.message)")
        }
        let visibility = Int64(queue.visibilityTimeout.fractionalSeconds)
        let timeout = function.configuration.timeout ?? Limits.defaultTimeoutSeconds
        if visibility < timeout {
            throw AWSError.invalidParameter(
                "Queue visibility timeout: \(visibility) seconds is less than Function timeout: \(timeout) seconds")
        }
    }

    private func checkStream(
        _ record: MappingRecord, _ principal: Principal, _ links: EventSourceLinks, in transaction: any ReadTransaction
    ) throws {
        guard let arn = ARN(record.source), let source = links.streams[arn.service] else {
            throw AWSError.invalidParameter(
                "Martlet does not keep streams of \(ARN(record.source)?.service ?? record.source).")
        }
        let isTable = arn.service == "dynamodb"
        let denied = AWSError.invalidParameter(
            "Cannot access stream \(record.source). Please ensure the role can perform the GetRecords, "
                + "GetShardIterator, DescribeStream, \(isTable ? "" : "ListShards, ")and ListStreams Actions on your "
                + "stream in IAM.")
        do {
            _ = try source.describe(stream: record.source, as: principal, in: transaction)
        } catch let error as AWSError where error.code.hasSuffix("ResourceNotFoundException") {
            throw AWSError.invalidParameter("Stream not found: \(record.source)")
        } catch let error as AWSError where error.code.contains("AccessDenied") {
            throw denied
        }
        guard let authorizer = try connections().authorizer else { return }
        var asked: [(action: String, resource: String)] = []
        if arn.resource.contains("/consumer/"), !isTable {
            var stream = arn
            stream.resource = arn.resource.split(separator: "/").prefix(2).joined(separator: "/")
            asked = [
                ("kinesis:SubscribeToShard", record.source), ("kinesis:DescribeStream", stream.description),
                ("kinesis:ListShards", stream.description),
            ]
        } else {
            let actions = ["GetRecords", "GetShardIterator", "DescribeStream"] + (isTable ? [] : ["ListShards"])
            asked = actions.map { ("\(arn.service):\($0)", record.source) }
        }
        for (action, resource) in asked {
            let decision = try authorizer.decide(principal, action: action, resource: resource, in: transaction)
            if decision != .allowed { throw denied }
        }
    }
}
