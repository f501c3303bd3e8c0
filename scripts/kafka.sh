#!/bin/sh
# A real Apache Kafka (KRaft, one node, loopback) from Maven Central artifacts; scripts/kafka/pom.xml pins the version.
#   scripts/kafka.sh fetch                       copies the jars into .tools/kafka/libs (once)
#   scripts/kafka.sh run [DIR [PORT [CPORT]]]    formats DIR if new and runs the broker in the foreground (its pid is this shell's)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
libs=${LAUNCHPAD_KAFKA_LIBS:-$root/.tools/kafka/libs}

fetch() {
    stamp=$libs/.$(cksum < "$root/scripts/kafka/pom.xml" | tr -d ' ')
    if [ -f "$stamp" ]; then return 0; fi
    for tool in java mvn; do
        command -v $tool > /dev/null || { echo "kafka.sh: $tool is not installed; install a JDK 17 and Maven 3, or use compose.yaml" >&2; exit 3; }
    done
    rm -rf "$libs"
    mvn -q -B -f "$root/scripts/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$libs" >&2
    touch "$stamp"
}

run() {
    dir=${1:-$root/.tools/kafka/data}; port=${2:-9092}; controller=${3:-$((port + 1))}
    mkdir -p "$dir"
    cat > "$dir/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
controller.listener.names=CONTROLLER
log.dirs=$dir/log
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
message.max.bytes=10485760
log.segment.delete.delay.ms=1000
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
file.delete.delay.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
EOF
    cat > "$dir/log4j2.properties" <<EOF
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
EOF
    jvm="-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xms128m -Xmx${LAUNCHPAD_KAFKA_HEAP:-512m} -Dlog4j2.configurationFile=$dir/log4j2.properties"
    if [ ! -f "$dir/log/meta.properties" ]; then
        java $jvm -cp "$libs/*" kafka.tools.StorageTool format --standalone -t AAAAAAAAAAAAAAAAAAAAAQ -c "$dir/server.properties" > "$dir/format.log" 2>&1 || { cat "$dir/format.log" >&2; exit 1; }
    fi
    exec java $jvm -cp "$libs/*" kafka.Kafka "$dir/server.properties"
}

case "${1:-run}" in
    fetch) fetch ;;
    run) fetch; [ $# -gt 0 ] && shift; run "$@" ;;
    *) echo "kafka.sh: $1 is no command; use fetch or run" >&2; exit 2 ;;
esac
