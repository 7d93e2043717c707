#!/bin/sh
# Generates the Go code beside every .proto file of this directory.
#
#   proto/generate.sh           writes the generated files, removing stale ones
#   proto/generate.sh --check   writes nothing; exit 1 if generating would change something
#
# Needs protoc with its own .proto files (Debian: protobuf-compiler libprotobuf-dev)
# and Go. The two plugins are built from the versions that go.mod pins, so that
# generated code and runtime match.
set -eu

cd "$(dirname "$0")"
case "${1-}" in
'' | --check) ;;
*)
	echo "usage: proto/generate.sh [--check]" >&2
	exit 2
	;;
esac
if ! command -v protoc >/dev/null; then
	echo "proto/generate.sh: protoc is not installed (Debian: apt-get install protobuf-compiler libprotobuf-dev)" >&2
	exit 2
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM

mkdir "$tmp/bin" "$tmp/out"
go build -o "$tmp/bin/" \
	google.golang.org/protobuf/cmd/protoc-gen-go \
	connectrpc.com/connect/cmd/protoc-gen-connect-go

# One call per package: protoc puts its own version into the output, and the
# order of the files must not depend on the shell's collation.
for dir in consent/admin/v1 consent/app/v1 consent/audit/v1 consent/evidence/v1; do
	# shellcheck disable=SC2046 # the names hold no blanks
	protoc -I . \
		--plugin="$tmp/bin/protoc-gen-go" \
		--plugin="$tmp/bin/protoc-gen-connect-go" \
		--go_out="$tmp/out" --go_opt=paths=source_relative \
		--connect-go_out="$tmp/out" --connect-go_opt=paths=source_relative,simple \
		$(find "$dir" -name '*.proto' | LC_ALL=C sort)
done

list() { (cd "$1" && find . -name '*.pb.go' -o -name '*.connect.go') | LC_ALL=C sort; }
list . >"$tmp/have"
list "$tmp/out" >"$tmp/want"

if [ "${1-}" = --check ]; then
	bad=0
	diff "$tmp/have" "$tmp/want" >&2 || bad=1
	while read -r f; do
		[ -f "$f" ] || continue
		cmp -s "$f" "$tmp/out/$f" || {
			echo "differs: proto/${f#./}" >&2
			bad=1
		}
	done <"$tmp/want"
	if [ $bad = 1 ]; then
		echo "proto/generate.sh: the generated code does not match the .proto files; run proto/generate.sh and commit the result" >&2
		exit 1
	fi
	exit 0
fi

LC_ALL=C comm -23 "$tmp/have" "$tmp/want" | while read -r f; do rm -f "$f"; done
while read -r f; do
	mkdir -p "$(dirname "$f")"
	cmp -s "$tmp/out/$f" "$f" || cp "$tmp/out/$f" "$f"
done <"$tmp/want"
