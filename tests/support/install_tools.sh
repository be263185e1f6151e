#!/bin/sh
# Installs the Debian packages of programs that tests start, where that can be done without asking anybody.
# Without them those tests are left out, or fail where CI is set; they say what to install.
set -eu

missing=""
command -v redis-server > /dev/null || missing="$missing redis-server"
command -v curl > /dev/null || missing="$missing curl"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "Installing$missing"
    policy=/usr/sbin/policy-rc.d
    # The package's own server shall not start, neither now nor with the machine.
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' > "$policy"
        chmod +x "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086
    if apt-get update -qq && apt-get install -qq --no-install-recommends $missing > /dev/null; then
        if command -v systemctl > /dev/null; then
            systemctl --quiet disable redis-server 2> /dev/null || true
        fi
        exit 0
    fi
fi
echo "Not installed:$missing. Tests that need it are left out; install it by hand, e.g. with apt-get or brew." >&2
