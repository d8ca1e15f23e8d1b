#!/usr/bin/env bash
# Photos put into a bucket become thumbnails in another one, by a Python function (Pillow, boto3) in its own cell.
# Deploys with the AWS CLI and leaves the server running; may be run again at any time.
#
#   Examples/thumbnails/demo.sh          (or: make demo)
#   Examples/thumbnails/demo.sh stop     (or: make demo-stop)
#
# MARTLET_PORT (default 4566), MARTLET (default .build/release/martlet)
set -Eeuo pipefail
cd "$(dirname "$0")/../.."

readonly PORT=${MARTLET_PORT:-4566}
readonly MARTLET=${MARTLET:-.build/release/martlet}
readonly URL=http://127.0.0.1:$PORT
readonly HOME_DIR=.martlet/demo
readonly PID_FILE=$HOME_DIR/server.pid
readonly SERVER_LOG=$HOME_DIR/server.log
readonly PHOTOS=.cache/photos
readonly OUTPUT=$HOME_DIR/thumbnails

readonly FUNCTION=thumbnails
readonly IN=demo-photos
readonly OUT=demo-thumbnails
readonly ROLE=demo-thumbnails
readonly LOG_GROUP=/aws/lambda/$FUNCTION

readonly START_S=10
readonly THUMBNAILS_S=60
readonly RETRIES_S=20
# Divides the waits between the retries of the broken picture: 1 and 2 minutes become 2 and 4 seconds.
readonly TIME_SCALE=30

export MARTLET_RUNTIMES=${MARTLET_RUNTIMES:-$PWD/.cache/runtimes}
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
export AWS_PAGER='' AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf '\ndemo: %s\n' "$*" >&2
    if [ -f "$SERVER_LOG" ]; then
        printf -- '-- the end of %s:\n' "$SERVER_LOG" >&2
        tail -n 40 "$SERVER_LOG" >&2
    fi
    exit 1
}

# Debian's AWS CLI is version 2; another `aws` on PATH may be version 1, without `logs tail`.
aws() { timeout 120 /usr/bin/aws --endpoint-url "$URL" "$@"; }

# For what may or may not be there: no output, the exit code alone.
is_there() { aws "$@" >/dev/null 2>&1; }

healthy() { curl --silent --fail --max-time 2 "$URL/_martlet/health" >/dev/null 2>&1; }

# The process of an earlier demo, when it still runs. Its command line is compared, because numbers are used again.
running() {
    local pid
    pid=$(cat "$PID_FILE" 2>/dev/null) || return 1
    tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q -- "serve .*$HOME_DIR" && printf '%s\n' "$pid"
}

stop_server() {
    local pid tries
    if pid=$(running); then
        kill -TERM "$pid"
        for tries in $(seq 150); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        if kill -0 "$pid" 2>/dev/null; then
            fail "the server (process $pid) did not stop within 15 s"
        fi
        rm -f "$PID_FILE"
        return 0
    fi
    rm -f "$PID_FILE"
    return 1
}

start_server() {
    [ -x "$MARTLET" ] || fail "no $MARTLET: run 'make build'"
    mkdir -p "$HOME_DIR"
    if stop_server; then say "stopped the server of an earlier demo; its data is kept"; fi
    if healthy; then fail "another server answers at $URL: stop it, or choose a port with MARTLET_PORT"; fi
    say "starting $MARTLET at $URL, data in $HOME_DIR/data"
    setsid "$MARTLET" serve --port "$PORT" --data-dir "$HOME_DIR/data" --time-scale "$TIME_SCALE" \
        >"$SERVER_LOG" 2>&1 </dev/null &
    local pid=$! deadline=$((SECONDS + START_S))
    printf '%s\n' "$pid" >"$PID_FILE"
    until healthy; do
        kill -0 "$pid" 2>/dev/null || fail "the server ended at once"
        [ "$SECONDS" -lt "$deadline" ] || fail "the server is not healthy after $START_S s"
        sleep 0.05
    done
    cat "$SERVER_LOG"
}

# The newest prepared python runtime that Pillow's pinned version supports, the system's own interpreter first.
choose_runtime() {
    local name
    for name in "python3.$(/usr/bin/python3 -c 'import sys; print(sys.version_info[1])' 2>/dev/null)" \
        python3.14 python3.13 python3.12 python3.11 python3.10; do
        if [ -f "$MARTLET_RUNTIMES/$name/runtime.json" ] && [ "$name" != python3.9 ]; then
            printf '%s\n' "$name"
            return
        fi
    done
    fail "no python runtime in $MARTLET_RUNTIMES: run 'make setup'"
}

deploy() {
    local runtime package trust
    runtime=$(choose_runtime)
    say "deploying function $FUNCTION ($runtime, Pillow)"
    package=$(.venv/bin/python Examples/thumbnails/package.py "$runtime")

    for bucket in "$IN" "$OUT"; do
        is_there s3api head-bucket --bucket "$bucket" || aws s3 mb "s3://$bucket"
    done
    # Those of an earlier run would count as this one's. Without the notification, removing the photos runs nothing.
    aws s3 rm --quiet --recursive "s3://$IN"
    aws s3 rm --quiet --recursive "s3://$OUT"

    trust='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
    is_there iam get-role --role-name "$ROLE" ||
        aws iam create-role --role-name "$ROLE" --assume-role-policy-document "$trust" --query Role.Arn --output text

    local settings=(--runtime "$runtime" --handler handler.handler --timeout 30 --memory-size 512
        --environment "Variables={THUMBNAIL_BUCKET=$OUT}" --role "arn:aws:iam::$ACCOUNT:role/$ROLE")
    if is_there lambda get-function --function-name "$FUNCTION"; then
        aws lambda update-function-code --function-name "$FUNCTION" --zip-file "fileb://$package" \
            --query CodeSha256 --output text
        aws lambda wait function-updated-v2 --function-name "$FUNCTION"
        aws lambda update-function-configuration --function-name "$FUNCTION" "${settings[@]}" \
            --query FunctionArn --output text
        aws lambda wait function-updated-v2 --function-name "$FUNCTION"
    else
        aws lambda create-function --function-name "$FUNCTION" --zip-file "fileb://$package" "${settings[@]}" \
            --query FunctionArn --output text
    fi
    aws lambda wait function-active-v2 --function-name "$FUNCTION"
}

connect() {
    say "bucket $IN invokes $FUNCTION"
    aws lambda remove-permission --function-name "$FUNCTION" --statement-id photos >/dev/null 2>&1 || true
    aws lambda add-permission --function-name "$FUNCTION" --statement-id photos --action lambda:InvokeFunction \
        --principal s3.amazonaws.com --source-arn "arn:aws:s3:::$IN" --source-account "$ACCOUNT" \
        --query Statement --output text
    aws s3api put-bucket-notification-configuration --bucket "$IN" --notification-configuration "{
        \"LambdaFunctionConfigurations\": [{
            \"Id\": \"thumbnails\", \"Events\": [\"s3:ObjectCreated:*\"],
            \"LambdaFunctionArn\": \"arn:aws:lambda:$AWS_DEFAULT_REGION:$ACCOUNT:function:$FUNCTION\"}]}"
}

upload() {
    say "uploading $(find "$PHOTOS" -type f ! -name '.*' | wc -l) files; broken.jpg is half a picture"
    aws s3 cp --recursive --no-progress --exclude '.*' "$PHOTOS" "s3://$IN"
}

count_thumbnails() { aws s3api list-objects-v2 --bucket "$OUT" --query 'length(Contents || `[]`)' --output text; }

wait_for_thumbnails() {
    local wanted count deadline=$((SECONDS + THUMBNAILS_S))
    wanted=$(find "$PHOTOS" -type f ! -name '.*' ! -name broken.jpg | wc -l)
    until count=$(count_thumbnails) && [ "$count" -ge "$wanted" ]; do
        [ "$SECONDS" -lt "$deadline" ] || fail "$count of $wanted thumbnails after $THUMBNAILS_S s"
        sleep 0.3
    done
    say "$count thumbnails"
    aws s3 ls "s3://$OUT"
    rm -rf "$OUTPUT"
    aws s3 sync --quiet "s3://$OUT" "$OUTPUT"
}

show_log() {
    local deadline=$((SECONDS + RETRIES_S))
    say "aws logs tail $LOG_GROUP (the broken picture fails, and is tried twice more)"
    until [ "$(attempts_at_broken)" -ge 3 ] || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.5; done
    aws logs tail "$LOG_GROUP" --since "$(started_minutes)m" --format short
    [ "$(attempts_at_broken)" -ge 1 ] || fail "the log does not tell about the broken picture"
}

started_minutes() { printf '%d\n' $((SECONDS / 60 + 2)); }

attempts_at_broken() {
    aws logs filter-log-events --log-group-name "$LOG_GROUP" --start-time "$STARTED_MS" \
        --query 'events[].[message]' --output text 2>/dev/null | grep -c '^\[ERROR\] BrokenImage' || true
}

if [ "${1:-}" = stop ]; then
    if stop_server; then echo "stopped"; else echo "no demo is running"; fi
    exit 0
fi

[ -x /usr/bin/aws ] || fail "no /usr/bin/aws: run 'make setup'"
[ -d "$PHOTOS" ] || fail "no $PHOTOS: run 'make setup'"
readonly STARTED_MS=$(($(date +%s) * 1000))
trap '[ "$BASH_SUBSHELL" -gt 0 ] || fail "line $LINENO failed"' ERR
start_server
ACCOUNT=$(aws sts get-caller-identity --query Account --output text)
readonly ACCOUNT
if is_there s3api head-bucket --bucket "$IN"; then # of an earlier run: no events while it is emptied
    aws s3api put-bucket-notification-configuration --bucket "$IN" --notification-configuration '{}'
fi
deploy
connect
upload
wait_for_thumbnails
show_log
cat <<END

== done; the server goes on running
thumbnails  $OUTPUT            (and s3://$OUT)
logs        aws --endpoint-url $URL logs tail $LOG_GROUP --follow
try it      export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1
            aws --endpoint-url $URL s3 cp PICTURE s3://$IN/
server log  $SERVER_LOG
stop        make demo-stop
END
