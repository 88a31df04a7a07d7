# Sourced by the scripts beside it: where things are, and what a run needs.
# shellcheck shell=bash disable=SC2034  # the scripts use what is not used here

set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
jobs=$(nproc 2>/dev/null || echo 2)

build_packages=(g++ meson ninja-build pkg-config liburing-dev libc-ares-dev libcxxopts-dev
                doctest-dev python3)
# The tests' peers, and valgrind. Where one cannot be had, its tests are skipped, and say so.
peer_packages=(nsd unbound knot knot-dnsutils bind9 bind9-dnsutils dnsdist
               bash-completion zsh fish valgrind)
peer_services=(nsd unbound knot named dnsdist)

if [ -t 1 ]; then
  bold=$'\e[1m' plain=$'\e[0m'
else
  bold='' plain=''
fi

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '%s\n' "$*"; }
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Runs a command as root, or says why that cannot be.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
    sudo "$@"
  else
    return 126
  fi
}

installed() {
  dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing_of() {
  local package
  for package in "$@"; do
    installed "$package" || printf '%s\n' "$package"
  done
}

# apt-get install that starts no service of what it installs.
apt_install() {
  local policy=/usr/sbin/policy-rc.d made='' status=0 log service
  local -a were_there=()
  log=$(mktemp)
  for service in "${peer_services[@]}"; do
    [ ! -e "/lib/systemd/system/$service.service" ] || were_there+=("$service")
  done
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made=yes
  fi
  # In a subshell, so that its trap removes the policy however the installation ends.
  (
    [ -z "$made" ] || trap 'as_root rm -f "$policy"' EXIT
    as_root apt-get -o DPkg::Lock::Timeout=300 update || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y \
      --no-install-recommends "$@"
  ) >"$log" 2>&1 || status=$?
  [ "$status" -eq 0 ] || tail -n 15 "$log" >&2
  rm -f "$log"
  # Nor is one to start at the next boot that was not there before.
  if command -v systemctl >/dev/null; then
    for service in "${peer_services[@]}"; do
      [[ " ${were_there[*]} " == *" $service "* ]] ||
        [ ! -e "/lib/systemd/system/$service.service" ] ||
        as_root systemctl disable --quiet "$service" >/dev/null 2>&1 || true
    done
  fi
  return "$status"
}

# need PACKAGE...: they are installed when it returns; it ends the script where that cannot be.
need() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    local tool
    for tool in g++ meson ninja pkg-config python3; do
      command -v "$tool" >/dev/null ||
        fail "$tool is missing. This script installs packages on Debian and its kin only; here, please install by hand what these are called there: $*"
    done
    return
  fi
  local -a missing
  mapfile -t missing < <(missing_of "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  as_root true ||
    fail "needs packages and is neither root nor able to sudo; please run: apt-get install ${missing[*]}"
  say "Installing ${missing[*]}"
  apt_install "${missing[@]}" || fail "apt-get could not install: ${missing[*]}"
}

# want PACKAGE...: as need, but goes on without those that cannot be had.
want() {
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 0
  local -a missing
  local package
  mapfile -t missing < <(missing_of "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  if ! as_root true; then
    say "Going on without ${missing[*]}: neither root nor able to sudo"
    return 0
  fi
  say "Installing ${missing[*]}"
  apt_install "${missing[@]}" && return 0
  for package in "${missing[@]}"; do
    installed "$package" || apt_install "$package" || say "Going on without $package"
  done
}

# configure DIR OPTION...: a build directory with these options, whether new, old or broken.
configure() {
  local dir=$1 log
  shift
  log=$(mktemp)
  if [ -e "$dir/build.ninja" ] &&
    { meson configure "$dir" "$@" && meson setup --reconfigure "$dir" "$root"; } >"$log" 2>&1; then
    rm -f "$log"
    return
  fi
  rm -rf "$dir"
  if ! meson setup "$dir" "$root" "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    fail "meson setup failed"
  fi
  rm -f "$log"
}

# compile DIR TARGET...: quiet where it works.
compile() {
  local dir=$1 log status=0
  shift
  log=$(mktemp)
  if [ -t 1 ]; then
    ninja -C "$dir" -j "$jobs" "$@" || status=$?
  else
    ninja -C "$dir" -j "$jobs" "$@" >"$log" 2>&1 || { status=$?; cat "$log" >&2; }
  fi
  rm -f "$log"
  [ "$status" -eq 0 ] || fail "the build in ${dir#"$root"/} failed"
}

release_options=(--buildtype=release -Db_lto=true -Dtests=true)

# The binary that users get, in build/, and the responder.
build_release() {
  need "${build_packages[@]}"
  say "Building build/ringdns"
  configure "$root/build" "${release_options[@]}"
  compile "$root/build" ringdns tests/responder/responder
}

# start_responder PLAN PORTS_FILE LOG OPTION...: it answers when this returns. It is build_release's.
responder_pid=''
start_responder() {
  local plan=$1 ports=$2 log=$3 i
  shift 3
  "$root/build/tests/responder/responder" --plan "$plan" --ports-file "$ports" "$@" 2>"$log" &
  responder_pid=$!
  for ((i = 0; i < 300; ++i)); do
    [ ! -s "$ports" ] || return 0
    kill -0 "$responder_pid" 2>/dev/null || break
    sleep 0.1
  done
  cat "$log" >&2
  fail "the responder did not start"
}

# Called by traps, too: it is well whether one was started or not.
stop_responder() {
  [ -n "$responder_pid" ] || return 0
  kill "$responder_pid" 2>/dev/null || true
  wait "$responder_pid" 2>/dev/null || true
  responder_pid=''
}

# -g1: traces name lines. Variables would take a third longer to compile.
test_options=(-Dtests=true -Ddebug=false -Dcpp_args=-g1)
plain_options=("${test_options[@]}" -Doptimization=2 -Dwerror=true)  # of build-test/

# run_tests DIR [NAME...] -- OPTION...: configures, builds, runs, and counts as its last line.
run_tests() {
  local dir=$1 status=0
  local -a chosen=()
  shift
  while [ "$1" != -- ]; do
    chosen+=("$1")
    shift
  done
  shift
  export PATH=$PATH:/usr/sbin:/sbin  # where the peers are
  say "Building ${dir#"$root"/}"
  configure "$dir" "$@"
  compile "$dir"
  rm -f "$dir/meson-logs/testlog.json"
  # Most tests wait for most of their time: three for each processor keep it busy.
  meson test -C "$dir" --no-rebuild --timeout-multiplier 6 --num-processes "$((jobs * 3))" \
    "${chosen[@]}" || status=$?
  [ -s "$dir/meson-logs/testlog.json" ] || fail "meson test left no log (exit code $status)"
  python3 "$root/scripts/count_results.py" "$dir/meson-logs/testlog.json" || return 1
  return "$status"
}
