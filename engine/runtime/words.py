"""What each step of a plan is, in words: its manual page and one sentence in each language.

`hako run --explain` prints these and the page will draw them. A test holds this table and the handlers together: a step
without words, or words without a step, fails it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """`man` is the page to read, `en` and `ja` one sentence each; {} fields are filled from the step's arguments."""

    man: str
    en: str
    ja: str


WORDS: dict[str, Word] = {
    "create_cgroup": Word(
        "cgroups(7)",
        "Make a group for its processes; write the limits, and the devices they may open, into it.",
        "プロセスを入れるcgroupを作り、上限と、開いてよいデバイスを書き込む。",
    ),
    "union_mount": Word(
        "mount(2), overlayfs",
        "Stack the image's layers, with an empty writable directory on top.",
        "イメージのレイヤーを重ね、一番上に空の書き込み用ディレクトリを置く。",
    ),
    "network": Word(
        "network_namespaces(7), veth(4)",
        "Take a network namespace that is joined to the bridge by a virtual cable.",
        "仮想ケーブル（veth）でブリッジにつながったネットワーク名前空間を1つ用意する。",
    ),
    "create_disk": Word(
        "loop(4), ext4(5)",
        "Attach a disk of its own: a file on the machine, seen as a block device.",
        "専用のディスクをつなぐ。中身はホスト上の1つのファイルである。",
    ),
    "insert_disc": Word(
        "loop(4), mksquashfs(1)",
        "Insert the disc of a live CD: a squashfs image that cannot be written.",
        "ライブCDのディスクを入れる。書き込みのできないsquashfsのイメージである。",
    ),
    "open_layers": Word(
        "open_tree(2)",
        "Open the image's layers, which every lab shares and none can change.",
        "イメージのレイヤーを開く。どのラボも同じものを見て、誰も書き換えられない。",
    ),
    "create_devices": Word(
        "mknod(2), tmpfs(5)",
        "Make the few device nodes that a lab may have; its own root may not.",
        "ラボに必要なデバイスノードだけを作る。ラボ内のrootには作れない。",
    ),
    "clone": Word(
        "clone(2), namespaces(7)",
        "Fork a child into new namespaces: {kinds}.",
        "新しい名前空間（{kinds}）の中に子プロセスを作る。",
    ),
    "session": Word(
        "setsid(2), signal(7)",
        "Begin a new session with every signal at its default.",
        "新しいセッションを始め、シグナルの扱いを既定に戻す。",
    ),
    "join_cgroup": Word(
        "cgroups(7)",
        "Enter the group, before doing anything that costs.",
        "資源を使い始める前に、cgroupに入る。",
    ),
    "join_namespaces": Word(
        "setns(2)",
        "Join existing namespaces: {kinds}.",
        "既存の名前空間（{kinds}）に入る。",
    ),
    "unshare": Word(
        "unshare(2)",
        "Leave for new namespaces: {kinds}.",
        "新しい名前空間（{kinds}）へ移る。",
    ),
    "map_ids": Word(
        "user_namespaces(7)",
        "Have ids 0 to 65535 inside stand for a block of ids nobody else has.",
        "内側のID 0〜65535を、ほかの誰も使っていないIDの範囲に対応させる。",
    ),
    "limit_namespaces": Word(
        "namespaces(7)",
        "Bound how many namespaces may be made below.",
        "この下に作れる名前空間の数に上限を設ける。",
    ),
    "propagation": Word(
        "mount_namespaces(7)",
        "Cut the mount table off, so that what is mounted here stays here.",
        "ここでのマウントが外へ伝わらないよう、マウントの伝播を断つ。",
    ),
    "rootfs": Word(
        "move_mount(2)",
        "Put the stacked layers where they can become the root.",
        "重ねたレイヤーを、ルートにできる場所に置く。",
    ),
    "stage": Word(
        "move_mount(2), tmpfs(5)",
        "Lay out the layers and the disk as this user namespace sees them.",
        "レイヤーとディスクを、このユーザー名前空間から見える形で並べる。",
    ),
    "overlay": Word(
        "mount(2), overlayfs",
        "Stack them into one tree, changes going to the lab's disk.",
        "重ねて1つのツリーにする。変更はラボのディスクに残る。",
    ),
    "mount": Word(
        "mount(2)",
        "Mount {what} on {destination}.",
        "{destination} に {what} をマウントする。",
    ),
    "cgroups": Word(
        "cgroups(7), cgroup_namespaces(7)",
        "Show the cgroup files, its own group being the root.",
        "自分のcgroupがルートに見える形で、cgroupのファイルを見せる。",
    ),
    "devices": Word(
        "mknod(2), pts(4)",
        "Make /dev: a few nodes and a set of terminals of its own.",
        "/devを作る。最小限のノードと、専用の端末の組だけを置く。",
    ),
    "keep": Word(
        "unix(7)",
        "Hand descriptors to the zygote, which keeps them.",
        "ファイルディスクリプタを、預かり役のzygoteに渡す。",
    ),
    "listen": Word(
        "unix(7), sd_listen_fds(3)",
        "Listen at {path}, so that the lab's own engine starts when somebody calls it.",
        "{path} で待ち受ける。接続が来たときに、ラボ専用のエンジンが起動する。",
    ),
    "console": Word(
        "pty(7)",
        "Make a terminal and send its other end to the engine.",
        "端末を作り、反対側の端をエンジンに送る。",
    ),
    "controlling_tty": Word(
        "ioctl_tty(2)",
        "Make it the session's terminal, so that Ctrl-C arrives.",
        "Ctrl-Cが届くよう、セッションの制御端末にする。",
    ),
    "bind_console": Word(
        "console(4)",
        "Show the terminal as /dev/console.",
        "その端末を /dev/console としても見せる。",
    ),
    "mask": Word(
        "mount(2)",
        "Cover the files that tell too much about the machine.",
        "ホストのことを教えすぎるファイルを覆い隠す。",
    ),
    "readonly": Word(
        "mount(2)",
        "Make the parts of /proc that change the machine read-only.",
        "ホストを変えられる/procの一部を読み取り専用にする。",
    ),
    "readonly_rootfs": Word(
        "mount_setattr(2)",
        "Make the root file system read-only.",
        "ルートファイルシステムを読み取り専用にする。",
    ),
    "pivot_root": Word(
        "pivot_root(2)",
        "Swap the root and let go of the machine's files.",
        "ルートを入れ替え、ホストのファイルを手放す。",
    ),
    "hostname": Word(
        "sethostname(2), uts_namespaces(7)",
        "Call itself {hostname}.",
        "ホスト名を {hostname} にする。",
    ),
    "loopback": Word(
        "netdevice(7)",
        "Set the loopback interface up.",
        "ループバックインターフェースを有効にする。",
    ),
    "rlimits": Word("prlimit(2)", "Set resource limits.", "リソースの制限値を設定する。"),
    "no_new_privs": Word(
        "PR_SET_NO_NEW_PRIVS(2const)",
        "Give up gaining privilege by execve for ever.",
        "execveで権限が増えることを、以後ずっと禁じる。",
    ),
    "seccomp": Word(
        "seccomp(2)",
        "Refuse the system calls a container does not need.",
        "コンテナに不要なシステムコールを拒否する。",
    ),
    "become": Word(
        "capabilities(7), credentials(7)",
        "Become user {user} and drop every capability but the few allowed.",
        "ユーザー {user} になり、許されたもの以外のケーパビリティを捨てる。",
    ),
    "workdir": Word("chdir(2)", "Go to {cwd}.", "{cwd} へ移る。"),
    "exec": Word("execve(2)", "Become the program: {program}.", "プログラム {program} に成り代わる。"),
}


#: What a step's sentence is filled from; a learner's file may hold these and no more.
FIELDS = ("kinds", "args", "destination", "hostname", "user", "cwd", "path", "type", "source")


def fields(kind: str, args: dict[str, object]) -> dict[str, object]:
    """Those of a step's arguments that its sentence needs; of `args` (argv) the program alone.

    Raises:
        KeyError: there is no such step.
    """
    wanted = WORDS[kind].en
    names = [name for name in FIELDS if f"{{{name}}}" in wanted]
    names += ["type", "source"] if "{what}" in wanted else []
    kept = {name: args[name] for name in names if name in args}
    argv = args.get("args")
    return {**kept, "args": argv[:1]} if "{program}" in wanted and isinstance(argv, list) else kept


def sentence(kind: str, args: dict[str, object], lang: str) -> str:
    """The sentence of a step with its arguments in it.

    Args:
        lang: "en" or "ja".
    """
    word = WORDS[kind]
    kinds = args.get("kinds")
    program = args.get("args")
    fields = {
        **args,
        "kinds": ", ".join(kinds) if isinstance(kinds, list) and kinds else {"en": "none", "ja": "なし"}[lang],
        "what": args.get("type") or args.get("source") or "",
        "program": program[0] if isinstance(program, list) else "",
    }
    return (word.en if lang == "en" else word.ja).format_map(fields)
