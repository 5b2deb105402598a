<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh_CN" sourcelanguage="en">
<context>
    <name>AboutDialog</name>
    <message>
        <source>About</source>
        <translation>关于</translation>
    </message>
    <message>
        <source>Version {version}</source>
        <translation>版本 {version}</translation>
    </message>
    <message>
        <source>Chat with any Qwen checkpoint on your own machine. Free software under the licence {licence}, without any warranty. It is made of parts by others, Qt (LGPL-3.0), PyTorch and Transformers among them.</source>
        <translation>在自己的电脑上与任何 Qwen 检查点对话。自由软件，许可证为 {licence}，不提供任何担保。其中包含他人的组件，如 Qt（LGPL-3.0）、PyTorch 和 Transformers。</translation>
    </message>
    <message>
        <source>Third-party licences…</source>
        <translation>第三方许可证…</translation>
    </message>
    <message>
        <source>Check for updates</source>
        <translation>检查更新</translation>
    </message>
    <message>
        <source>Show the release</source>
        <translation>查看该版本</translation>
    </message>
    <message>
        <source>Qwen Desktop looks for new versions only when you press the button.</source>
        <translation>只有按下按钮时，Qwen Desktop 才会查看有没有新版本。</translation>
    </message>
    <message>
        <source>Asking…</source>
        <translation>正在询问…</translation>
    </message>
    <message>
        <source>Version {version} is there; this is {current}.</source>
        <translation>已有版本 {version}；当前为 {current}。</translation>
    </message>
    <message>
        <source>This is the newest version, {current}.</source>
        <translation>当前已是最新版本 {current}。</translation>
    </message>
</context>
<context>
    <name>AccessDialog</name>
    <message>
        <source>Hub access</source>
        <translation>模型站访问</translation>
    </message>
    <message>
        <source>Public checkpoints need no token. One that is entered here is kept in the keyring of the system, and goes to the hub&apos;s own server alone.</source>
        <translation>公开的检查点不需要令牌。在这里输入的令牌保存在系统密钥环中，只会发给该模型站自己的服务器。</translation>
    </message>
</context>
<context>
    <name>AdoptDialog</name>
    <message>
        <source>Get what is missing</source>
        <translation>获取缺少的文件</translation>
    </message>
    <message>
        <source>What is whole in the folder is kept; only what is missing or damaged is fetched. Which repository is it of?</source>
        <translation>文件夹中完整的文件会保留，只获取缺少或损坏的文件。它属于哪个仓库？</translation>
    </message>
    <message>
        <source>Repository</source>
        <translation>仓库</translation>
    </message>
    <message>
        <source>Hub</source>
        <translation>模型站</translation>
    </message>
    <message>
        <source>Looking into the folder…</source>
        <translation>正在查看文件夹…</translation>
    </message>
    <message>
        <source>Look it up</source>
        <translation>查询</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>The files do not tell. Type its name, or paste its address.</source>
        <translation>文件本身看不出来。请输入名称，或粘贴地址。</translation>
    </message>
    <message>
        <source>{name}: {why}.</source>
        <translation>{name}：{why}。</translation>
    </message>
    <message>
        <source>There are other possibilities in the list.</source>
        <translation>列表中还有其他可能。</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Asking {hub}…</source>
        <translation>正在询问 {hub}…</translation>
    </message>
</context>
<context>
    <name>AlarmBanner</name>
    <message>
        <source>Close the warning about the device</source>
        <translation>关闭关于设备的警告</translation>
    </message>
    <message>
        <source>Close the warning about the speed</source>
        <translation>关闭关于速度的警告</translation>
    </message>
    <message>
        <source>Close the warning about the memory</source>
        <translation>关闭内存警告</translation>
    </message>
    <message>
        <source>The model runs on the CPU, which is slow. {reason}</source>
        <translation>模型在 CPU 上运行，速度较慢。{reason}</translation>
    </message>
    <message>
        <source>Other programs have taken {taken} of the memory that was counted on ({device}): {lacking} are missing for a context of {tokens} tokens. Close them, or the context gets smaller.</source>
        <translation>其他程序占用了原本计划使用的内存 {taken}（{device}）：{tokens} 词元的上下文还缺 {lacking}。请关闭它们，否则上下文会变小。</translation>
    </message>
    <message>
        <source>The answer comes at {speed} instead of {usual} tokens per second, and the memory of the device is full. Close other programs, or open the checkpoint with room for less context or with an 8-bit KV cache.</source>
        <translation>回答速度为每秒 {speed} 个词元，平时为 {usual} 个，且设备内存已满。请关闭其他程序，或以更短的上下文或 8 位 KV 缓存打开检查点。</translation>
    </message>
    <message>
        <source>On the CPU: {reason}</source>
        <translation>在 CPU 上：{reason}</translation>
    </message>
    <message>
        <source>Taken by other programs: {taken}, of which {lacking} are missing</source>
        <translation>被其他程序占用：{taken}，其中缺 {lacking}</translation>
    </message>
    <message>
        <source>Memory is full: {speed} instead of {usual} tok/s</source>
        <translation>内存已满：{speed} 词元/秒，平时为 {usual}</translation>
    </message>
</context>
<context>
    <name>AnswerDetails</name>
    <message>
        <source>Answer details</source>
        <translation>回答详情</translation>
    </message>
    <message>
        <source>Parts of the answer&apos;s details</source>
        <translation>回答详情的各部分</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>名称</translation>
    </message>
    <message>
        <source>Value</source>
        <translation>值</translation>
    </message>
    <message>
        <source>Origin</source>
        <translation>来源</translation>
    </message>
    <message>
        <source>Search origin</source>
        <translation>搜索来源</translation>
    </message>
    <message>
        <source>Statistics</source>
        <translation>统计</translation>
    </message>
    <message>
        <source>Search statistics</source>
        <translation>搜索统计</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>Log probabilities</source>
        <translation>对数概率</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Copy details</source>
        <translation>复制详细信息</translation>
    </message>
    <message>
        <source>Copy as JSON</source>
        <translation>复制为 JSON</translation>
    </message>
    <message>
        <source>Copy details as JSON</source>
        <translation>将详细信息复制为 JSON</translation>
    </message>
    <message>
        <source>How this turn worked</source>
        <translation>这一轮是怎样进行的</translation>
    </message>
    <message>
        <source>Inspect prompt</source>
        <translation>检查提示词</translation>
    </message>
    <message>
        <source>Not kept</source>
        <translation>未保留</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>AnswerTokens</name>
    <message>
        <source>Tokens of the answer</source>
        <translation>回答的词元</translation>
    </message>
    <message>
        <source>Reading…</source>
        <translation>正在读取…</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>文本</translation>
    </message>
    <message>
        <source>Ids</source>
        <translation>编号</translation>
    </message>
    <message>
        <source>Both</source>
        <translation>两者</translation>
    </message>
    <message>
        <source>Show: {what}</source>
        <translation>显示：{what}</translation>
    </message>
    <message>
        <source>Keep probabilities in this chat</source>
        <translation>在此对话中保留概率</translation>
    </message>
    <message>
        <source>Instead of it</source>
        <translation>其他候选</translation>
    </message>
    <message>
        <source>Alternatives of the token</source>
        <translation>该词元的候选</translation>
    </message>
    <message>
        <source>Regenerate from here</source>
        <translation>从这里重新生成</translation>
    </message>
    <message>
        <source>Least likely</source>
        <translation>最不可能的</translation>
    </message>
    <message>
        <source>Least likely tokens</source>
        <translation>最不可能的词元</translation>
    </message>
    <message>
        <source>From the next answer on, this chat keeps probabilities.</source>
        <translation>从下一个回答起，此对话会保留概率。</translation>
    </message>
    <message>
        <source>Token {number}: {text}</source>
        <translation>词元 {number}：{text}</translation>
    </message>
    <message>
        <source>Bars on the left: reasoning {thought}, answer {said} tokens.</source>
        <translation>左侧竖条：推理 {thought}，回答 {said} 个词元。</translation>
    </message>
    <message>
        <source>Behind the text: reasoning {thought}, answer {said} tokens.</source>
        <translation>文字底色：推理 {thought}，回答 {said} 个词元。</translation>
    </message>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln 个词元</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln with probabilities</source>
        <translation>
            <numerusform>%Ln 个带概率</numerusform>
        </translation>
    </message>
    <message>
        <source>mean log probability {mean} · perplexity {perplexity}</source>
        <translation>平均对数概率 {mean} · 困惑度 {perplexity}</translation>
    </message>
    <message>
        <source>The tokens of this answer were not kept.</source>
        <translation>没有保留这个回答的词元。</translation>
    </message>
    <message>
        <source>How likely each token was is not kept: “Alternatives per token” was 0 in the chat settings when this was written.</source>
        <translation>没有保留各词元的概率：写下它时，对话设置中的“每个词元的候选数”为 0。</translation>
    </message>
    <message>
        <source>Texts come from the checkpoint that wrote it; another one is open, or none.</source>
        <translation>文字来自写下它的检查点；现在打开的是另一个，或没有打开。</translation>
    </message>
    <message>
        <source>Reasoning</source>
        <translation>思考过程</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Probability {share}</source>
        <translation>概率 {share}</translation>
    </message>
    <message>
        <source>Instead: {others}</source>
        <translation>其他候选：{others}</translation>
    </message>
    <message>
        <source>Choose a token: click it, or press the arrow keys.</source>
        <translation>选择一个词元：点击它，或按方向键。</translation>
    </message>
    <message>
        <source>Go on with {text}</source>
        <translation>改用 {text} 继续</translation>
    </message>
    <message>
        <source>Enter goes on with it</source>
        <translation>按 Enter 用它继续</translation>
    </message>
</context>
<context>
    <name>Asking</name>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>Answering in “{title}”</source>
        <translation>正在“{title}”中回答</translation>
    </message>
    <message>
        <source>The connection was removed: choose another one</source>
        <translation>该连接已移除：请另选一个</translation>
    </message>
    <message>
        <source>Loading…</source>
        <translation>正在加载…</translation>
    </message>
    <message>
        <source>A memory study is under way</source>
        <translation>正在进行内存研究</translation>
    </message>
    <message>
        <source>Open a checkpoint first</source>
        <translation>请先打开检查点</translation>
    </message>
</context>
<context>
    <name>AssemblePage</name>
    <message>
        <source>Assemble: messages become one text</source>
        <translation>拼装：消息变成一段文本</translation>
    </message>
    <message>
        <source>A language model has no memory: it continues a text. So each turn the whole conversation is written out again by the checkpoint&apos;s chat template. Control tokens mark where a message begins and ends and who speaks, and the text stops where the answer is to begin.</source>
        <translation>语言模型没有记忆：它只是续写文本。所以每一轮都由检查点的对话模板把整段对话重新写出来。控制词元标明每条消息的起止和说话的人，文本停在回答该开始的地方。</translation>
    </message>
    <message numerus="yes">
        <source>%Ln messages</source>
        <translation>
            <numerusform>%Ln 条消息</numerusform>
        </translation>
    </message>
    <message>
        <source>system</source>
        <translation>系统</translation>
    </message>
    <message>
        <source>user</source>
        <translation>用户</translation>
    </message>
    <message>
        <source>assistant</source>
        <translation>助手</translation>
    </message>
    <message>
        <source>of the checkpoint</source>
        <translation>检查点自带</translation>
    </message>
    <message>
        <source>none</source>
        <translation>无</translation>
    </message>
    <message>
        <source>on</source>
        <translation>开</translation>
    </message>
    <message>
        <source>off</source>
        <translation>关</translation>
    </message>
    <message>
        <source>Messages</source>
        <translation>消息</translation>
    </message>
    <message>
        <source>Left out</source>
        <translation>省略</translation>
    </message>
    <message>
        <source>Chat template</source>
        <translation>对话模板</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>思考</translation>
    </message>
    <message>
        <source>Colours: one for each role</source>
        <translation>颜色：每种角色一种</translation>
    </message>
</context>
<context>
    <name>Attach</name>
    <message>
        <source>Attach files</source>
        <translation>添加附件</translation>
    </message>
    <message numerus="yes">
        <source>A message has at most %Ln files.</source>
        <translation>
            <numerusform>一条消息最多可有 %Ln 个文件。</numerusform>
        </translation>
    </message>
    <message>
        <source>{name} is attached already.</source>
        <translation>{name} 已在附件中。</translation>
    </message>
</context>
<context>
    <name>Attachments</name>
    <message>
        <source>Attached files</source>
        <translation>附件</translation>
    </message>
    <message>
        <source>Pasted text</source>
        <translation>粘贴的文本</translation>
    </message>
    <message>
        <source>Pasted text {number}</source>
        <translation>粘贴的文本 {number}</translation>
    </message>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln 个词元</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln characters</source>
        <translation>
            <numerusform>%Ln 个字符</numerusform>
        </translation>
    </message>
    <message>
        <source>Reading…</source>
        <translation>正在读取…</translation>
    </message>
</context>
<context>
    <name>BackupModel</name>
    <message>
        <source>Date</source>
        <translation>日期</translation>
    </message>
    <message>
        <source>Why</source>
        <translation>原因</translation>
    </message>
    <message>
        <source>Chats</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Messages</source>
        <translation>消息</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>大小</translation>
    </message>
    <message>
        <source>Daily</source>
        <translation>每日</translation>
    </message>
    <message>
        <source>Made by you</source>
        <translation>由你创建</translation>
    </message>
    <message>
        <source>Before an update</source>
        <translation>更新前</translation>
    </message>
    <message>
        <source>Before a restore</source>
        <translation>恢复前</translation>
    </message>
    <message>
        <source>Damaged</source>
        <translation>已损坏</translation>
    </message>
</context>
<context>
    <name>BackupTable</name>
    <message>
        <source>Backups</source>
        <translation>备份</translation>
    </message>
</context>
<context>
    <name>BackupsDialog</name>
    <message>
        <source>Backups</source>
        <translation>备份</translation>
    </message>
    <message>
        <source>One is made every day the application is open. Each is checked when it is made.</source>
        <translation>应用打开的每一天都会做一份备份，每份在做好时都会检查。</translation>
    </message>
    <message>
        <source>Reading…</source>
        <translation>正在读取…</translation>
    </message>
    <message>
        <source>Back up now</source>
        <translation>立即备份</translation>
    </message>
    <message>
        <source>Restore…</source>
        <translation>恢复…</translation>
    </message>
    <message>
        <source>Show folder</source>
        <translation>显示文件夹</translation>
    </message>
    <message>
        <source>There is none yet.</source>
        <translation>还没有备份。</translation>
    </message>
    <message>
        <source>Working…</source>
        <translation>正在处理…</translation>
    </message>
    <message>
        <source>Backed up. Chats: {conversations}, messages: {messages}.</source>
        <translation>已备份。对话：{conversations}，消息：{messages}。</translation>
    </message>
    <message>
        <source>All chats are replaced by those of the backup of {moment} (chats: {conversations}, messages: {messages}). An answer that is being written is stopped. What there is now becomes a backup first, so that you can come back to it.</source>
        <translation>所有对话将被 {moment} 的备份替换（对话：{conversations}，消息：{messages}）。正在写的回答会停止。现有内容会先做成一份备份，以便你恢复。</translation>
    </message>
    <message>
        <source>The backup of {moment} is restored.</source>
        <translation>已恢复 {moment} 的备份。</translation>
    </message>
    <message>
        <source>Restore a backup</source>
        <translation>恢复备份</translation>
    </message>
    <message>
        <source>Restore</source>
        <translation>恢复</translation>
    </message>
</context>
<context>
    <name>Banner</name>
    <message>
        <source>What to do</source>
        <translation>怎么办</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>详细信息</translation>
    </message>
    <message>
        <source>Close message</source>
        <translation>关闭消息</translation>
    </message>
</context>
<context>
    <name>CancelDialog</name>
    <message>
        <source>Cancel the download?</source>
        <translation>取消下载？</translation>
    </message>
    <message>
        <source>Of {name} {size} are here, in {folder}.</source>
        <translation>{name} 已有 {size}，在 {folder} 中。</translation>
    </message>
    <message>
        <source>What is kept need not be fetched again when you get this one later.</source>
        <translation>保留的部分以后再获取时不必重新下载。</translation>
    </message>
    <message>
        <source>Cancel, keep files</source>
        <translation>取消，保留文件</translation>
    </message>
    <message>
        <source>Cancel, delete files</source>
        <translation>取消，删除文件</translation>
    </message>
    <message>
        <source>Go on</source>
        <translation>继续</translation>
    </message>
</context>
<context>
    <name>CandidateRows</name>
    <message>
        <source>Candidates of the first tokens</source>
        <translation>最初几个词元的候选</translation>
    </message>
</context>
<context>
    <name>Canvas</name>
    <message>
        <source>{name}: {count} points, {first} at {begin} to {last} at {end}</source>
        <translation>{name}：{count} 个点，从 {begin} 处的 {first} 到 {end} 处的 {last}</translation>
    </message>
</context>
<context>
    <name>CataloguePage</name>
    <message>
        <source>Catalogue of checkpoints</source>
        <translation>检查点目录</translation>
    </message>
    <message>
        <source>Search the catalogue</source>
        <translation>搜索目录</translation>
    </message>
    <message>
        <source>Fits this computer</source>
        <translation>适合这台电脑</translation>
    </message>
    <message>
        <source>All</source>
        <translation>全部</translation>
    </message>
    <message>
        <source>Series</source>
        <translation>系列</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>大小</translation>
    </message>
    <message>
        <source>Format</source>
        <translation>格式</translation>
    </message>
    <message>
        <source>Newer repositories</source>
        <translation>较新的仓库</translation>
    </message>
    <message>
        <source>Get it…</source>
        <translation>获取…</translation>
    </message>
    <message>
        <source>Look for newer</source>
        <translation>查找更新的</translation>
    </message>
    <message>
        <source>Asks Hugging Face which checkpoints Qwen has published since.</source>
        <translation>询问 Hugging Face，Qwen 此后发布了哪些检查点。</translation>
    </message>
    <message>
        <source>Any repository</source>
        <translation>任意仓库</translation>
    </message>
    <message>
        <source>Any repository: its name, NAME@REVISION, or address</source>
        <translation>任意仓库：名称、名称@版本 或地址</translation>
    </message>
    <message>
        <source>Hub</source>
        <translation>模型站</translation>
    </message>
    <message>
        <source>Get…</source>
        <translation>获取…</translation>
    </message>
    <message>
        <source>Computing what fits…</source>
        <translation>正在计算哪些适合…</translation>
    </message>
    <message>
        <source>As of {day}; sizes and what fits are computed from the configurations.</source>
        <translation>截至 {day}；大小与是否适合由配置算出。</translation>
    </message>
    <message>
        <source>Nothing of the catalogue is like that. {about}</source>
        <translation>目录中没有这样的检查点。{about}</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>On the hub and not in the table, newest first. Enter gets one.</source>
        <translation>模型站上有而表中没有的，最新的在前。按 Enter 获取。</translation>
    </message>
    <message>
        <source>The hub has no checkpoint that the table does not have.</source>
        <translation>模型站上没有表中缺少的检查点。</translation>
    </message>
</context>
<context>
    <name>ChartSaving</name>
    <message>
        <source>Picture (*.png)</source>
        <translation>图片 (*.png)</translation>
    </message>
    <message>
        <source>Drawing (*.svg)</source>
        <translation>矢量图 (*.svg)</translation>
    </message>
    <message>
        <source>Numbers (*.csv)</source>
        <translation>数据 (*.csv)</translation>
    </message>
    <message>
        <source>Save chart as</source>
        <translation>图表另存为</translation>
    </message>
</context>
<context>
    <name>Charting</name>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Memory and context</source>
        <translation>内存与上下文</translation>
    </message>
    <message>
        <source>Memory and speed against context, in full</source>
        <translation>内存和速度随上下文的变化，完整图表</translation>
    </message>
</context>
<context>
    <name>ChatSearchField</name>
    <message>
        <source>Search filters</source>
        <translation>搜索筛选</translation>
    </message>
    <message>
        <source>What you wrote</source>
        <translation>你写的内容</translation>
    </message>
    <message>
        <source>What was answered</source>
        <translation>回答的内容</translation>
    </message>
    <message>
        <source>Answers of a model</source>
        <translation>某个模型的回答</translation>
    </message>
    <message>
        <source>Chats with a tag</source>
        <translation>带某个标签的对话</translation>
    </message>
    <message>
        <source>Chats in a folder</source>
        <translation>某个文件夹里的对话</translation>
    </message>
    <message>
        <source>Since a day, as 2026-03-01 or 7d</source>
        <translation>从某天起，如 2026-03-01 或 7d</translation>
    </message>
    <message>
        <source>Until a day</source>
        <translation>到某天为止</translation>
    </message>
    <message>
        <source>In the archive</source>
        <translation>在归档中</translation>
    </message>
    <message>
        <source>In the bin</source>
        <translation>在回收站中</translation>
    </message>
</context>
<context>
    <name>ChatSettingsDialog</name>
    <message>
        <source>Chat settings</source>
        <translation>对话设置</translation>
    </message>
    <message>
        <source>For this chat alone. What is not set here follows the general settings.</source>
        <translation>仅对本对话有效。这里未设置的项遵循常规设置。</translation>
    </message>
    <message>
        <source>Preset</source>
        <translation>预设</translation>
    </message>
    <message>
        <source>Reset to general settings</source>
        <translation>恢复为常规设置</translation>
    </message>
    <message>
        <source>last: {value}</source>
        <translation>上次：{value}</translation>
    </message>
    <message>
        <source>This chat has a value of its own.</source>
        <translation>本对话有自己的值。</translation>
    </message>
</context>
<context>
    <name>Checkpoints</name>
    <message>
        <source>Open checkpoint folder</source>
        <translation>打开检查点文件夹</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Check folder</source>
        <translation>检查文件夹</translation>
    </message>
    <message>
        <source>Loading was cancelled. {what}</source>
        <translation>已取消加载。{what}</translation>
    </message>
    <message>
        <source>No checkpoint is open.</source>
        <translation>没有打开的检查点。</translation>
    </message>
    <message>
        <source>The demo checkpoint</source>
        <translation>演示检查点</translation>
    </message>
    <message>
        <source>{name} stays open.</source>
        <translation>{name} 仍然打开着。</translation>
    </message>
</context>
<context>
    <name>ChoicesView</name>
    <message>
        <source>Precision</source>
        <translation>精度</translation>
    </message>
    <message>
        <source>Where it runs</source>
        <translation>运行位置</translation>
    </message>
    <message>
        <source>Room for</source>
        <translation>预留上下文</translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation>KV 缓存</translation>
    </message>
    <message>
        <source>Longest context</source>
        <translation>最长上下文</translation>
    </message>
    <message>
        <source>What fits now</source>
        <translation>现在放得下什么</translation>
    </message>
    <message>
        <source>Plan</source>
        <translation>加载计划</translation>
    </message>
    <message>
        <source>As it is</source>
        <translation>保持原样</translation>
    </message>
    <message>
        <source>YaRN stretches the positions beyond what the model was made for: answers to short texts can get worse. Choose it for long texts only.</source>
        <translation>YaRN 会把位置拉伸到模型设计的范围之外：对短文本的回答可能变差。仅在处理长文本时选择。</translation>
    </message>
    <message>
        <source>Auto</source>
        <translation>自动</translation>
    </message>
    <message>
        <source>Split over all devices</source>
        <translation>分摊到所有设备</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
</context>
<context>
    <name>CodeBlock</name>
    <message>
        <source>Copy code</source>
        <translation>复制代码</translation>
    </message>
    <message>
        <source>Save as…</source>
        <translation>另存为…</translation>
    </message>
    <message>
        <source>Save code as…</source>
        <translation>代码另存为…</translation>
    </message>
    <message>
        <source>Wrap</source>
        <translation>换行</translation>
    </message>
    <message>
        <source>Wrap lines</source>
        <translation>自动换行</translation>
    </message>
    <message>
        <source>Code</source>
        <translation>代码</translation>
    </message>
    <message>
        <source>text</source>
        <translation>文本</translation>
    </message>
</context>
<context>
    <name>CommandPalette</name>
    <message>
        <source>Command palette</source>
        <translation>命令面板</translation>
    </message>
    <message>
        <source>What would you like to do?</source>
        <translation>你想做什么？</translation>
    </message>
    <message>
        <source>Arrow keys choose, Enter does it.</source>
        <translation>方向键选择，回车执行。</translation>
    </message>
    <message>
        <source>Commands</source>
        <translation>命令</translation>
    </message>
    <message>
        <source>Nothing found.</source>
        <translation>没有找到。</translation>
    </message>
</context>
<context>
    <name>Commanding</name>
    <message>
        <source>Setting</source>
        <translation>设置</translation>
    </message>
    <message>
        <source>On</source>
        <translation>开</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>关</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
</context>
<context>
    <name>Commands</name>
    <message>
        <source>List the commands</source>
        <translation>列出命令</translation>
    </message>
    <message>
        <source>Start a new chat; this one is kept</source>
        <translation>开始新对话；当前对话会保留</translation>
    </message>
    <message>
        <source>Stop the answer</source>
        <translation>停止回答</translation>
    </message>
    <message>
        <source>Answer the last message again</source>
        <translation>重新回答最后一条消息</translation>
    </message>
    <message>
        <source>Go on with an answer that was cut</source>
        <translation>继续被截断的回答</translation>
    </message>
    <message>
        <source>words</source>
        <translation>词语</translation>
    </message>
    <message>
        <source>Name this chat</source>
        <translation>为此对话命名</translation>
    </message>
    <message>
        <source>Write this chat to a file</source>
        <translation>把此对话写入文件</translation>
    </message>
    <message>
        <source>Attach files</source>
        <translation>添加附件</translation>
    </message>
    <message>
        <source>Open the prompt library</source>
        <translation>打开提示词库</translation>
    </message>
    <message>
        <source>text</source>
        <translation>文本</translation>
    </message>
    <message>
        <source>There is no command /{name}. Enter again sends it as text.</source>
        <translation>没有命令 /{name}。再按一次回车将其作为文本发送。</translation>
    </message>
    <message>
        <source>This is a new chat. The one before is in the list.</source>
        <translation>这是新对话，之前的对话在列表中。</translation>
    </message>
    <message>
        <source>No answer is being written.</source>
        <translation>没有正在生成的回答。</translation>
    </message>
    <message>
        <source>Stopped.</source>
        <translation>已停止。</translation>
    </message>
    <message>
        <source>Nothing can be answered now.</source>
        <translation>现在无法回答。</translation>
    </message>
    <message>
        <source>There is no answer yet.</source>
        <translation>还没有回答。</translation>
    </message>
    <message>
        <source>Answering again.</source>
        <translation>正在重新回答。</translation>
    </message>
    <message>
        <source>The last answer was not cut off.</source>
        <translation>最后一个回答没有被截断。</translation>
    </message>
    <message>
        <source>Going on.</source>
        <translation>正在继续。</translation>
    </message>
    <message>
        <source>Write the title after /title.</source>
        <translation>请在 /title 之后写标题。</translation>
    </message>
    <message>
        <source>A chat gets its title with its first message.</source>
        <translation>对话在第一条消息之后才有标题。</translation>
    </message>
    <message>
        <source>This chat is now called “{title}”.</source>
        <translation>此对话现在名为“{title}”。</translation>
    </message>
    <message>
        <source>There is nothing to export yet.</source>
        <translation>还没有可导出的内容。</translation>
    </message>
    <message>
        <source>Formats are {formats}.</source>
        <translation>格式有 {formats}。</translation>
    </message>
    <message>
        <source>{setting} takes: {hint}.</source>
        <translation>{setting} 可取：{hint}。</translation>
    </message>
    <message>
        <source>{setting}: {value}. For this chat, from the next answer on.</source>
        <translation>{setting}：{value}。从下一个回答起对此对话生效。</translation>
    </message>
    <message>
        <source>{setting} is {value}.</source>
        <translation>{setting} 为 {value}。</translation>
    </message>
    <message>
        <source>{value}, as recommended</source>
        <translation>{value}（推荐值）</translation>
    </message>
    <message>
        <source>as recommended</source>
        <translation>推荐值</translation>
    </message>
    <message>
        <source>on</source>
        <translation>开</translation>
    </message>
    <message>
        <source>off</source>
        <translation>关</translation>
    </message>
    <message>
        <source>none</source>
        <translation>无</translation>
    </message>
</context>
<context>
    <name>CommandsDialog</name>
    <message>
        <source>Commands</source>
        <translation>命令</translation>
    </message>
    <message>
        <source>A message that begins with one of these is not sent. A setting without a value tells the one it has, with “default” it follows the general settings again. Two slashes at the beginning are sent as one.</source>
        <translation>以这些命令开头的消息不会发送。不带值的设置会显示当前的值，用“default”则重新跟随通用设置。开头的两个斜杠会作为一个发送。</translation>
    </message>
    <message>
        <source>Command</source>
        <translation>命令</translation>
    </message>
    <message>
        <source>What it does</source>
        <translation>作用</translation>
    </message>
</context>
<context>
    <name>Completion</name>
    <message>
        <source>Commands and prompts</source>
        <translation>命令和提示词</translation>
    </message>
</context>
<context>
    <name>Composer</name>
    <message>
        <source>Message</source>
        <translation>消息</translation>
    </message>
    <message>
        <source>Attach files</source>
        <translation>添加附件</translation>
    </message>
    <message>
        <source>Prompt library</source>
        <translation>提示词库</translation>
    </message>
    <message>
        <source>Chat settings</source>
        <translation>对话设置</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>思考</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>上下文</translation>
    </message>
    <message>
        <source>Reading {name}…</source>
        <translation>正在读取 {name}…</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Send message</source>
        <translation>发送消息</translation>
    </message>
    <message>
        <source>Message {name}…</source>
        <translation>给 {name} 发消息…</translation>
    </message>
    <message>
        <source>Message…</source>
        <translation>输入消息…</translation>
    </message>
    <message>
        <source>Text to continue…</source>
        <translation>要续写的文本…</translation>
    </message>
    <message numerus="yes">
        <source>The model no longer sees %Ln messages of this chat.</source>
        <translation>
            <numerusform>模型已看不到本对话的 %Ln 条消息。</numerusform>
        </translation>
    </message>
    <message>
        <source>{used} / {length} tokens</source>
        <translation>{used} / {length} 个词元</translation>
    </message>
    <message>
        <source>{used} tokens</source>
        <translation>{used} 个词元</translation>
    </message>
    <message>
        <source>The model thinks before it answers</source>
        <translation>模型先思考再回答</translation>
    </message>
    <message>
        <source>The model answers at once</source>
        <translation>模型直接回答</translation>
    </message>
    <message>
        <source>Esc to stop</source>
        <translation>按 Esc 停止</translation>
    </message>
    <message>
        <source>Enter to send · Shift+Enter for a new line</source>
        <translation>Enter 发送 · Shift+Enter 换行</translation>
    </message>
    <message>
        <source>Wait for the answer to end, or press Esc to stop it.</source>
        <translation>请等待回答结束，或按 Esc 停止。</translation>
    </message>
    <message>
        <source>Type a message first.</source>
        <translation>请先输入消息。</translation>
    </message>
    <message>
        <source>Attached as a file. Ctrl+Shift+V pastes long text as it is.</source>
        <translation>已作为文件附加。Ctrl+Shift+V 可原样粘贴长文本。</translation>
    </message>
</context>
<context>
    <name>Connecting</name>
    <message>
        <source>This chat is answered by</source>
        <translation>此对话的回答者</translation>
    </message>
    <message>
        <source>A checkpoint on this computer</source>
        <translation>这台电脑上的检查点</translation>
    </message>
    <message>
        <source>Nothing leaves this computer.</source>
        <translation>任何内容都不会离开这台电脑。</translation>
    </message>
    <message>
        <source>Test the connection to see its models…</source>
        <translation>测试连接以查看其模型…</translation>
    </message>
    <message>
        <source>Connections…</source>
        <translation>连接…</translation>
    </message>
    <message>
        <source>Who answers this chat</source>
        <translation>谁回答此对话</translation>
    </message>
    <message>
        <source>Connection removed</source>
        <translation>连接已移除</translation>
    </message>
    <message>
        <source>The connection that answers this chat is gone. Choose another.</source>
        <translation>回答此对话的连接已不存在。请另选一个。</translation>
    </message>
    <message>
        <source>This chat is answered by {model} on {host} (“{name}”): what you send goes there.</source>
        <translation>此对话由 {host} 上的 {model}（“{name}”）回答：你发送的内容会发往那里。</translation>
    </message>
    <message>
        <source>Answered on {host}</source>
        <translation>由 {host} 回答</translation>
    </message>
    <message numerus="yes">
        <source>This sends the whole chat, %Ln messages, to {host}.</source>
        <translation>
            <numerusform>这会把整个对话（%Ln 条消息）发送到 {host}。</numerusform>
        </translation>
    </message>
    <message>
        <source>“{name}” answers it from then on, and gets all of it with every message. You are not asked again for this chat while it stays there.</source>
        <translation>此后由“{name}”回答，每条消息都会把全部内容发给它。此对话留在那里期间不再询问。</translation>
    </message>
    <message>
        <source>Send this chat to a server?</source>
        <translation>把此对话发送到服务器？</translation>
    </message>
    <message>
        <source>Send</source>
        <translation>发送</translation>
    </message>
</context>
<context>
    <name>ConnectionForm</name>
    <message>
        <source>Name</source>
        <translation>名称</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>地址</translation>
    </message>
    <message>
        <source>Server</source>
        <translation>服务器</translation>
    </message>
    <message>
        <source>Find out</source>
        <translation>自动识别</translation>
    </message>
    <message>
        <source>Key</source>
        <translation>密钥</translation>
    </message>
    <message>
        <source>Remove key</source>
        <translation>移除密钥</translation>
    </message>
    <message>
        <source>Default model</source>
        <translation>默认模型</translation>
    </message>
    <message>
        <source>Test lists those there are</source>
        <translation>“测试”会列出可用的模型</translation>
    </message>
    <message>
        <source>Seconds to connect</source>
        <translation>连接限时（秒）</translation>
    </message>
    <message>
        <source>Seconds to the first token</source>
        <translation>首个词元限时（秒）</translation>
    </message>
    <message>
        <source>Seconds between tokens</source>
        <translation>词元之间限时（秒）</translation>
    </message>
    <message>
        <source>Its models may be asked for titles of chats they answer</source>
        <translation>可以请它的模型为所回答的对话拟标题</translation>
    </message>
    <message>
        <source>Where Titles by the model is on. Else the first words of a chat are its title.</source>
        <translation>在开启“由模型拟标题”时。否则用对话开头的文字作标题。</translation>
    </message>
    <message>
        <source>The key is in the keyring of the system.</source>
        <translation>密钥在系统密钥环中。</translation>
    </message>
    <message>
        <source>The key is kept until the program ends: it is in no file.</source>
        <translation>密钥保留到程序结束：不在任何文件中。</translation>
    </message>
    <message>
        <source>There is no key.</source>
        <translation>没有密钥。</translation>
    </message>
    <message>
        <source>This system has no keyring that would keep one.</source>
        <translation>此系统没有可以保存密钥的密钥环。</translation>
    </message>
    <message>
        <source>{there} {none}</source>
        <translation>{there}{none}</translation>
    </message>
    <message>
        <source>Kept; type another to replace it</source>
        <translation>已保存；输入新的即可替换</translation>
    </message>
    <message>
        <source>Only where the server wants one</source>
        <translation>仅在服务器要求时</translation>
    </message>
    <message>
        <source>Another connection is called so.</source>
        <translation>已有另一个连接使用此名称。</translation>
    </message>
    <message>
        <source>That is no address; write one as http://host:8000/v1.</source>
        <translation>这不是有效地址；请写成 http://主机:8000/v1 的形式。</translation>
    </message>
    <message>
        <source>Not encrypted: on the way others can read the chat and the key.</source>
        <translation>未加密：途中他人可以读到对话和密钥。</translation>
    </message>
    <message>
        <source>Asked at {address}</source>
        <translation>请求地址：{address}</translation>
    </message>
</context>
<context>
    <name>ConnectionsDialog</name>
    <message>
        <source>Connections</source>
        <translation>连接</translation>
    </message>
    <message>
        <source>Servers that may answer chats in place of the checkpoint here. Nothing goes to one unless you choose it for a chat, at the name of the model above the chat.</source>
        <translation>可以代替本机检查点回答对话的服务器。除非你在对话上方的模型名称处为某个对话选择它，否则不会向它发送任何内容。</translation>
    </message>
    <message>
        <source>New</source>
        <translation>新建</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>移除</translation>
    </message>
    <message>
        <source>None yet</source>
        <translation>还没有</translation>
    </message>
    <message>
        <source>“{name}” and its key are forgotten. Chats that it answers stay, and ask for another.</source>
        <translation>将忘记“{name}”及其密钥。由它回答的对话会保留，并会请你另选一个。</translation>
    </message>
    <message>
        <source>Remove this connection?</source>
        <translation>移除此连接？</translation>
    </message>
    <message>
        <source>Test</source>
        <translation>测试</translation>
    </message>
    <message>
        <source>Cancel the test</source>
        <translation>取消测试</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>保存</translation>
    </message>
    <message>
        <source>Asking {host}…</source>
        <translation>正在询问 {host}…</translation>
    </message>
    <message>
        <source>{program} answered in {milliseconds} ms.</source>
        <translation>{program} 在 {milliseconds} 毫秒内应答。</translation>
    </message>
    <message numerus="yes">
        <source>%Ln models: {names}</source>
        <translation>
            <numerusform>%Ln 个模型：{names}</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ContextBar</name>
    <message>
        <source>What the context holds now</source>
        <translation>上下文现在的内容</translation>
    </message>
    <message>
        <source>▨ prompt {count}</source>
        <translation>▨ 提示词 {count}</translation>
    </message>
    <message>
        <source>■ answer {count}</source>
        <translation>■ 回答 {count}</translation>
    </message>
    <message>
        <source>□ free {count}</source>
        <translation>□ 空闲 {count}</translation>
    </message>
</context>
<context>
    <name>ContextChart</name>
    <message>
        <source>Memory and context</source>
        <translation>内存与上下文</translation>
    </message>
    <message>
        <source>Across</source>
        <translation>横轴</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>Characters</source>
        <translation>字符</translation>
    </message>
    <message>
        <source>Characters are counted as they were shown to the model: texts and files.</source>
        <translation>字符按给模型看的内容计数：文本和文件。</translation>
    </message>
    <message>
        <source>Up to the limit</source>
        <translation>直到上限</translation>
    </message>
    <message>
        <source>Show what is predicted as far as the model or the memory goes.</source>
        <translation>显示直到模型或内存上限的预测。</translation>
    </message>
    <message>
        <source>Memory, speed, table</source>
        <translation>内存、速度、表格</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>内存</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>速度</translation>
    </message>
    <message>
        <source>Table</source>
        <translation>表格</translation>
    </message>
    <message>
        <source>Copy image</source>
        <translation>复制图片</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>保存…</translation>
    </message>
    <message>
        <source>As a picture, a drawing, or its numbers</source>
        <translation>保存为图片、矢量图或数据</translation>
    </message>
    <message>
        <source>Whole view</source>
        <translation>完整视图</translation>
    </message>
    <message>
        <source>Undo the zoom (Home)</source>
        <translation>取消缩放 (Home)</translation>
    </message>
    <message>
        <source>Copy table</source>
        <translation>复制表格</translation>
    </message>
    <message>
        <source>The table is on the clipboard.</source>
        <translation>表格已复制到剪贴板。</translation>
    </message>
    <message>
        <source>The picture is on the clipboard.</source>
        <translation>图片已复制到剪贴板。</translation>
    </message>
    <message>
        <source>memory</source>
        <translation>内存</translation>
    </message>
    <message>
        <source>speed</source>
        <translation>速度</translation>
    </message>
    <message>
        <source>measured</source>
        <translation>测量值</translation>
    </message>
    <message>
        <source>Saved “{name}”</source>
        <translation>已保存“{name}”</translation>
    </message>
</context>
<context>
    <name>ConversationList</name>
    <message>
        <source>answered by a server</source>
        <translation>由服务器回答</translation>
    </message>
    <message>
        <source>pinned</source>
        <translation>已置顶</translation>
    </message>
    <message>
        <source>in folder {name}</source>
        <translation>在文件夹 {name} 中</translation>
    </message>
    <message>
        <source>tag {name}</source>
        <translation>标签 {name}</translation>
    </message>
    <message>
        <source>Pinned</source>
        <translation>置顶</translation>
    </message>
    <message>
        <source>Today</source>
        <translation>今天</translation>
    </message>
    <message>
        <source>Yesterday</source>
        <translation>昨天</translation>
    </message>
    <message>
        <source>Previous 7 days</source>
        <translation>过去 7 天</translation>
    </message>
    <message>
        <source>Previous 30 days</source>
        <translation>过去 30 天</translation>
    </message>
    <message>
        <source>Older</source>
        <translation>更早</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>A server answers this chat</source>
        <translation>此对话由服务器回答</translation>
    </message>
    <message>
        <source>Loading…</source>
        <translation>正在加载…</translation>
    </message>
    <message>
        <source>answering</source>
        <translation>正在回答</translation>
    </message>
</context>
<context>
    <name>ConversationPane</name>
    <message>
        <source>%1 (branch)</source>
        <translation>%1（分支）</translation>
    </message>
</context>
<context>
    <name>ConversationView</name>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>重命名</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>撤销</translation>
    </message>
</context>
<context>
    <name>CopyButton</name>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>DamageCard</name>
    <message>
        <source>This message was damaged on disk; what could be read of it is shown.</source>
        <translation>这条消息在磁盘上已损坏；这里显示还能读出的内容。</translation>
    </message>
</context>
<context>
    <name>DecodePage</name>
    <message>
        <source>Decode: one token after the other</source>
        <translation>解码：一个词元接一个词元</translation>
    </message>
    <message>
        <source>After the last token the model gives a score to every token of its vocabulary. The sampling values decide which of them may come, and one is drawn. It is appended, the model reads only that one, the rest is in the KV cache, and so on: this is why an answer appears piece by piece.</source>
        <translation>读完最后一个词元后，模型给词表中的每个词元打分。采样参数决定哪些可以出现，从中抽取一个。它被接在末尾，模型只需再读这一个，其余都在 KV 缓存里，如此继续：所以回答是一点一点出现的。</translation>
    </message>
    <message>
        <source>Show all tokens of the answer</source>
        <translation>显示回答的所有词元</translation>
    </message>
    <message>
        <source>Sampling</source>
        <translation>采样</translation>
    </message>
    <message>
        <source>Choice</source>
        <translation>选取方式</translation>
    </message>
    <message>
        <source>greedy: always the likeliest</source>
        <translation>贪心：总取最可能的</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>速度</translation>
    </message>
    <message>
        <source>Reasoning</source>
        <translation>思考过程</translation>
    </message>
    <message>
        <source>The first tokens: the one that came is framed, then what was likeliest.</source>
        <translation>最初几个词元：加框的是实际出现的，后面是最可能的候选。</translation>
    </message>
    <message>
        <source>The server was not asked how likely its tokens were, or told nothing.</source>
        <translation>没有向服务器询问词元的概率，或者服务器没有说明。</translation>
    </message>
    <message>
        <source>How likely they were was not kept: “Alternatives per token” was 0.</source>
        <translation>没有保留概率：“每个词元的候选数”为 0。</translation>
    </message>
</context>
<context>
    <name>Dialog</name>
    <message>
        <source>Close</source>
        <translation>关闭</translation>
    </message>
</context>
<context>
    <name>DownloadRow</name>
    <message>
        <source>Earlier</source>
        <translation>提前</translation>
    </message>
    <message>
        <source>Later</source>
        <translation>推后</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Show folder</source>
        <translation>显示文件夹</translation>
    </message>
    <message>
        <source>Progress of {name}</source>
        <translation>{name} 的进度</translation>
    </message>
    <message>
        <source>Pause</source>
        <translation>暂停</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Retry</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>Remove from list</source>
        <translation>从列表中移除</translation>
    </message>
    <message>
        <source>Cancel…</source>
        <translation>取消…</translation>
    </message>
    <message>
        <source>Hide files</source>
        <translation>隐藏文件</translation>
    </message>
    <message>
        <source>Files ({count})</source>
        <translation>文件（{count}）</translation>
    </message>
</context>
<context>
    <name>Downloading</name>
    <message>
        <source>Downloads: {state}</source>
        <translation>下载：{state}</translation>
    </message>
    <message>
        <source>Downloads: {percent}</source>
        <translation>下载：{percent}</translation>
    </message>
    <message>
        <source>{name} is here.</source>
        <translation>{name} 已下载完成。</translation>
    </message>
    <message>
        <source>{name} is here, but does not open.</source>
        <translation>{name} 已下载完成，但无法打开。</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Look at it</source>
        <translation>查看</translation>
    </message>
    <message>
        <source>This is about {name}.</source>
        <translation>这是关于 {name} 的。</translation>
    </message>
    <message>
        <source>Retry</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>The download of {name} has stopped.</source>
        <translation>{name} 的下载已停止。</translation>
    </message>
    <message>
        <source>What came is kept. The downloads go on at the next start.</source>
        <translation>已下载的部分会保留。下次启动时继续下载。</translation>
    </message>
    <message>
        <source>What came is kept. After the next start, Resume goes on with it.</source>
        <translation>已下载的部分会保留。下次启动后按“继续”接着下载。</translation>
    </message>
    <message>
        <source>Quit while something downloads?</source>
        <translation>还在下载，要退出吗？</translation>
    </message>
    <message>
        <source>Pause and quit</source>
        <translation>暂停并退出</translation>
    </message>
</context>
<context>
    <name>DownloadsPage</name>
    <message>
        <source>Get a checkpoint…</source>
        <translation>获取检查点…</translation>
    </message>
    <message>
        <source>Hub access…</source>
        <translation>模型站访问…</translation>
    </message>
    <message>
        <source>Pause all</source>
        <translation>全部暂停</translation>
    </message>
    <message>
        <source>Resume all</source>
        <translation>全部继续</translation>
    </message>
    <message>
        <source> MiB/s</source>
        <translation> MiB/s</translation>
    </message>
    <message>
        <source>No limit</source>
        <translation>不限</translation>
    </message>
    <message>
        <source>Limit</source>
        <translation>限速</translation>
    </message>
    <message>
        <source>Nothing was downloaded yet. A hub is asked only when you say so; what is fetched can be paused, and goes on after a restart.</source>
        <translation>还没有下载过。只有你要求时才会询问模型站；下载可以暂停，重启后可以继续。</translation>
    </message>
</context>
<context>
    <name>DropOverlay</name>
    <message>
        <source>Drop to open this folder</source>
        <translation>松开以打开此文件夹</translation>
    </message>
    <message>
        <source>Drop to open this chat</source>
        <translation>松开以打开此对话</translation>
    </message>
    <message>
        <source>Drop to import these files</source>
        <translation>松开以导入这些文件</translation>
    </message>
    <message>
        <source>Drop to attach</source>
        <translation>松开以添加附件</translation>
    </message>
    <message>
        <source>Drop to attach; a chat is opened</source>
        <translation>松开以添加附件；对话文件会被打开</translation>
    </message>
    <message>
        <source>Only chat files or one folder can be dropped here</source>
        <translation>这里只能放对话文件或一个文件夹</translation>
    </message>
    <message>
        <source>Only files and folders of this computer can be dropped here</source>
        <translation>这里只能拖放本机的文件和文件夹</translation>
    </message>
</context>
<context>
    <name>Editor</name>
    <message>
        <source>Edit message</source>
        <translation>编辑消息</translation>
    </message>
    <message>
        <source>Enter to send · Shift+Enter for a new line · Esc to cancel</source>
        <translation>Enter 发送 · Shift+Enter 换行 · Esc 取消</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Cancel editing</source>
        <translation>取消编辑</translation>
    </message>
    <message>
        <source>Send</source>
        <translation>发送</translation>
    </message>
    <message>
        <source>Send edited message</source>
        <translation>发送编辑后的消息</translation>
    </message>
</context>
<context>
    <name>EmptyState</name>
    <message>
        <source>Open checkpoint folder</source>
        <translation>打开检查点文件夹</translation>
    </message>
    <message>
        <source>More</source>
        <translation>更多</translation>
    </message>
    <message>
        <source>More suggestions</source>
        <translation>更多建议</translation>
    </message>
    <message>
        <source>Open a Qwen checkpoint to start</source>
        <translation>打开一个 Qwen 检查点即可开始</translation>
    </message>
    <message>
        <source>What would you like to ask?</source>
        <translation>想问点什么？</translation>
    </message>
    <message>
        <source>Choose the folder as you downloaded it, or drop it onto this window.</source>
        <translation>选择下载好的文件夹，或把它拖到此窗口。</translation>
    </message>
    <message>
        <source>Everything stays on this computer.</source>
        <translation>所有内容都留在这台电脑上。</translation>
    </message>
    <message>
        <source>Open a folder</source>
        <translation>打开文件夹</translation>
    </message>
    <message>
        <source>A Qwen checkpoint as you downloaded it</source>
        <translation>下载下来的 Qwen 检查点，无需转换</translation>
    </message>
    <message>
        <source>Get a checkpoint</source>
        <translation>获取检查点</translation>
    </message>
    <message>
        <source>From Hugging Face or ModelScope</source>
        <translation>来自 Hugging Face 或 ModelScope</translation>
    </message>
    <message>
        <source>Try the demo</source>
        <translation>试用演示</translation>
    </message>
    <message>
        <source>A small one that knows this application</source>
        <translation>一个只了解本应用的小检查点</translation>
    </message>
    <message>
        <source>What should be continued?</source>
        <translation>要续写什么？</translation>
    </message>
    <message>
        <source>Base model: it continues text; there are no turns.</source>
        <translation>基础模型：它续写文本，没有对话轮次。</translation>
    </message>
    <message>
        <source>What you send goes to {host}.</source>
        <translation>你发送的内容会发往 {host}。</translation>
    </message>
    <message>
        <source>Demo checkpoint of about {millions} million parameters. It only knows this application.</source>
        <translation>这是约 {millions}00 万参数的演示检查点，只了解本应用。</translation>
    </message>
    <message>
        <source>Explain how a language model writes an answer, in five sentences.</source>
        <translation>用五句话解释语言模型如何写出回答。</translation>
    </message>
    <message>
        <source>Write a friendly e-mail that moves a meeting to next week.</source>
        <translation>写一封友好的邮件，把会议改到下周。</translation>
    </message>
    <message>
        <source>Write a Python function that finds duplicate files in a folder.</source>
        <translation>写一个在文件夹中查找重复文件的 Python 函数。</translation>
    </message>
    <message>
        <source>Suggest three dinners with rice and vegetables, ready in half an hour.</source>
        <translation>推荐三道半小时内能做好的米饭配蔬菜的晚餐。</translation>
    </message>
    <message>
        <source>What are good questions to ask in a job interview?</source>
        <translation>面试时可以问哪些好问题？</translation>
    </message>
    <message>
        <source>Translate “Everything stays on this computer” into four languages.</source>
        <translation>把“一切都留在这台电脑上”翻译成四种语言。</translation>
    </message>
</context>
<context>
    <name>EndCard</name>
    <message>
        <source>Continue</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Continue with presence penalty</source>
        <translation>带存在惩罚继续</translation>
    </message>
    <message>
        <source>Retry</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>Context…</source>
        <translation>上下文…</translation>
    </message>
    <message>
        <source>Context of this chat</source>
        <translation>本对话的上下文</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>详细信息</translation>
    </message>
    <message>
        <source>Error details</source>
        <translation>错误详情</translation>
    </message>
    <message>
        <source>The context is full, so the answer ends here. Go on with another message, or start a new chat.</source>
        <translation>上下文已满，回答到此为止。请继续发送消息，或新建对话。</translation>
    </message>
    <message>
        <source>The answer began to repeat itself word for word, so it was stopped.</source>
        <translation>回答开始逐字重复，因此已停止。</translation>
    </message>
    <message>
        <source>The answer failed.</source>
        <translation>回答失败。</translation>
    </message>
</context>
<context>
    <name>EntryModel</name>
    <message>
        <source>Result</source>
        <translation>结果</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>From</source>
        <translation>来源</translation>
    </message>
    <message>
        <source>Notes</source>
        <translation>说明</translation>
    </message>
    <message>
        <source>Untitled</source>
        <translation>无标题</translation>
    </message>
</context>
<context>
    <name>EntryTable</name>
    <message>
        <source>What was found</source>
        <translation>找到的内容</translation>
    </message>
</context>
<context>
    <name>ExportDialog</name>
    <message>
        <source>Export</source>
        <translation>导出</translation>
    </message>
    <message>
        <source>What</source>
        <translation>范围</translation>
    </message>
    <message>
        <source>This chat</source>
        <translation>此对话</translation>
    </message>
    <message>
        <source>The selected chat</source>
        <translation>选中的对话</translation>
    </message>
    <message>
        <source>{count} selected chats</source>
        <translation>选中的 {count} 个对话</translation>
    </message>
    <message>
        <source>All chats, archived ones included</source>
        <translation>所有对话，包括已归档的</translation>
    </message>
    <message>
        <source>Format</source>
        <translation>格式</translation>
    </message>
    <message>
        <source>Markdown (.md)</source>
        <translation>Markdown (.md)</translation>
    </message>
    <message>
        <source>Web page (.html)</source>
        <translation>网页 (.html)</translation>
    </message>
    <message>
        <source>PDF (.pdf)</source>
        <translation>PDF (.pdf)</translation>
    </message>
    <message>
        <source>Plain text (.txt)</source>
        <translation>纯文本 (.txt)</translation>
    </message>
    <message>
        <source>JSON, with everything (.qwenchat.json)</source>
        <translation>JSON，包含全部内容 (.qwenchat.json)</translation>
    </message>
    <message>
        <source>With reasoning</source>
        <translation>包含思考过程</translation>
    </message>
    <message>
        <source>With times, and how each answer was computed</source>
        <translation>包含时间以及每个回答如何算出</translation>
    </message>
    <message>
        <source>All versions of the messages, not only the shown ones</source>
        <translation>消息的所有版本，而不只是显示的版本</translation>
    </message>
    <message>
        <source>All in one file</source>
        <translation>全部放进一个文件</translation>
    </message>
    <message>
        <source>JSON has every version, the reasoning and how each answer was computed. It can be imported again.</source>
        <translation>JSON 包含每个版本、思考过程以及每个回答如何算出，可以再次导入。</translation>
    </message>
    <message>
        <source>Exporting…</source>
        <translation>正在导出…</translation>
    </message>
    <message>
        <source>Progress of the export</source>
        <translation>导出进度</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>导出…</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Exporting {number} of {total}…</source>
        <translation>正在导出第 {number} 个，共 {total} 个…</translation>
    </message>
    <message>
        <source>Cancelling…</source>
        <translation>正在取消…</translation>
    </message>
</context>
<context>
    <name>FactsView</name>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Base model: it continues text</source>
        <translation>基础模型：续写文本</translation>
    </message>
    <message>
        <source>{all}, {active} per token</source>
        <translation>{all}，每个词元用 {active}</translation>
    </message>
    <message>
        <source>{layers}, {heads} heads, {kv} for KV</source>
        <translation>{layers} 层，{heads} 个头，KV {kv} 个</translation>
    </message>
    <message>
        <source>{layers}, {experts} experts</source>
        <translation>{layers} 层，{experts} 个专家</translation>
    </message>
    <message>
        <source>{precision}, {size}</source>
        <translation>{precision}，{size}</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
    <message>
        <source>Family</source>
        <translation>系列</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>类型</translation>
    </message>
    <message>
        <source>Parameters</source>
        <translation>参数量</translation>
    </message>
    <message>
        <source>Layers</source>
        <translation>层</translation>
    </message>
    <message>
        <source>Stored as</source>
        <translation>存储精度</translation>
    </message>
    <message>
        <source>Files</source>
        <translation>文件数</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>上下文</translation>
    </message>
    <message>
        <source>KV per token</source>
        <translation>每个词元的 KV</translation>
    </message>
</context>
<context>
    <name>Field</name>
    <message>
        <source>{words} ({value})</source>
        <translation>{words}（{value}）</translation>
    </message>
    <message>
        <source>A new one for every answer</source>
        <translation>每次回答使用新的种子</translation>
    </message>
    <message>
        <source>No limit</source>
        <translation>不限</translation>
    </message>
    <message>
        <source>What is free</source>
        <translation>空闲的部分</translation>
    </message>
    <message>
        <source>As recommended</source>
        <translation>按推荐值</translation>
    </message>
    <message>
        <source>On</source>
        <translation>开启</translation>
    </message>
    <message>
        <source>Standard</source>
        <translation>标准</translation>
    </message>
    <message>
        <source>As the system</source>
        <translation>跟随系统</translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation>选择…</translation>
    </message>
</context>
<context>
    <name>FileChip</name>
    <message>
        <source>Remove {name}</source>
        <translation>移除 {name}</translation>
    </message>
    <message>
        <source>File {name}, {detail}</source>
        <translation>文件 {name}，{detail}</translation>
    </message>
    <message>
        <source>Show the text</source>
        <translation>显示文本</translation>
    </message>
    <message>
        <source>Put into the message</source>
        <translation>放进消息</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>移除</translation>
    </message>
</context>
<context>
    <name>FileTextDialog</name>
    <message numerus="yes">
        <source>the first %Ln characters are shown; all are copied</source>
        <translation>
            <numerusform>显示前 %Ln 个字符；复制时包含全部</numerusform>
        </translation>
    </message>
    <message>
        <source>Text of {name}</source>
        <translation>{name} 的文本</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Copy the text</source>
        <translation>复制文本</translation>
    </message>
    <message>
        <source>Put into the message</source>
        <translation>放进消息</translation>
    </message>
</context>
<context>
    <name>FindBar</name>
    <message>
        <source>Find in this chat</source>
        <translation>在此对话中查找</translation>
    </message>
    <message>
        <source>Previous occurrence</source>
        <translation>上一处</translation>
    </message>
    <message>
        <source>Next occurrence</source>
        <translation>下一处</translation>
    </message>
    <message>
        <source>Close find</source>
        <translation>关闭查找</translation>
    </message>
    <message>
        <source>Not found</source>
        <translation>未找到</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>正在查找…</translation>
    </message>
    <message>
        <source>%1 of %2</source>
        <translation>第 %1 处，共 %2 处</translation>
    </message>
    <message>
        <source>%1 of %2 or more</source>
        <translation>第 %1 处，至少 %2 处</translation>
    </message>
</context>
<context>
    <name>FindingCard</name>
    <message>
        <source>Error</source>
        <translation>错误</translation>
    </message>
    <message>
        <source>Warning</source>
        <translation>警告</translation>
    </message>
    <message>
        <source>Note</source>
        <translation>提示</translation>
    </message>
</context>
<context>
    <name>FindingsView</name>
    <message>
        <source>And {count} more like these.</source>
        <translation>还有 {count} 个类似的问题。</translation>
    </message>
</context>
<context>
    <name>FitModel</name>
    <message>
        <source>As stored</source>
        <translation>按原样</translation>
    </message>
    <message>
        <source>tight</source>
        <translation>勉强</translation>
    </message>
    <message>
        <source>fits</source>
        <translation>放得下</translation>
    </message>
    <message>
        <source>tight: over 90 % of the free memory</source>
        <translation>勉强：超过空闲内存的 90 %</translation>
    </message>
    <message>
        <source>does not fit</source>
        <translation>放不下</translation>
    </message>
    <message>
        <source>{precision}, {context}: {words}, {need} needed</source>
        <translation>{precision}，{context}：{words}，需要 {need}</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
</context>
<context>
    <name>FitTable</name>
    <message>
        <source>What fits, by precision and context</source>
        <translation>各精度与上下文是否放得下</translation>
    </message>
</context>
<context>
    <name>FolderMenu</name>
    <message>
        <source>Move to folder</source>
        <translation>移到文件夹</translation>
    </message>
    <message>
        <source>No folder</source>
        <translation>不放入文件夹</translation>
    </message>
    <message>
        <source>New folder…</source>
        <translation>新建文件夹…</translation>
    </message>
</context>
<context>
    <name>Footer</name>
    <message>
        <source>Copy message</source>
        <translation>复制消息</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Retry</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>详细信息</translation>
    </message>
    <message>
        <source>Answer details</source>
        <translation>回答详情</translation>
    </message>
    <message>
        <source>Stopped</source>
        <translation>已停止</translation>
    </message>
    <message>
        <source>Interrupted: the application closed</source>
        <translation>已中断：应用已关闭</translation>
    </message>
    <message>
        <source>Longest answer reached</source>
        <translation>已达最长回答</translation>
    </message>
    <message>
        <source>The context is full</source>
        <translation>上下文已满</translation>
    </message>
    <message>
        <source>Stopped: it repeated itself</source>
        <translation>已停止：内容重复</translation>
    </message>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln 个词元</numerusform>
        </translation>
    </message>
    <message>
        <source>%1 tok/s</source>
        <translation>%1 词元/秒</translation>
    </message>
    <message>
        <source>%1 s to first token</source>
        <translation>首个词元 %1 秒</translation>
    </message>
</context>
<context>
    <name>ForecastView</name>
    <message>
        <source>What would move it</source>
        <translation>怎样改变它</translation>
    </message>
    <message>
        <source>≈ {count}</source>
        <translation>≈ {count}</translation>
    </message>
    <message>
        <source>{way}: the limit is then at about {count} tokens</source>
        <translation>{way}：上限约为 {count} 词元</translation>
    </message>
    <message>
        <source>This chat has met the end of the model&apos;s context, at about {tokens} tokens.</source>
        <translation>此对话已达到模型上下文的上限，约 {tokens} 词元。</translation>
    </message>
    <message>
        <source>This chat has met the end of memory, at about {tokens} tokens.</source>
        <translation>此对话已达到内存的上限，约 {tokens} 词元。</translation>
    </message>
    <message>
        <source>This chat has met the longest text its tokenizer takes, {tokens} tokens.</source>
        <translation>此对话已达到分词器能处理的最大长度，{tokens} 词元。</translation>
    </message>
    <message>
        <source>This chat meets the end of the model&apos;s context at about {tokens} tokens</source>
        <translation>此对话约在 {tokens} 词元处达到模型上下文的上限</translation>
    </message>
    <message>
        <source>This chat meets the end of memory at about {tokens} tokens</source>
        <translation>此对话约在 {tokens} 词元处达到内存的上限</translation>
    </message>
    <message>
        <source>This chat meets the longest text its tokenizer takes at about {tokens} tokens</source>
        <translation>此对话约在 {tokens} 词元处达到分词器的最大长度</translation>
    </message>
    <message numerus="yes">
        <source>≈ %Ln more turns</source>
        <translation>
            <numerusform>约还有 %Ln 轮</numerusform>
        </translation>
    </message>
    <message>
        <source>{begin} ({more}).</source>
        <translation>{begin}（{more}）。</translation>
    </message>
    <message>
        <source>8-bit KV cache</source>
        <translation>8 位 KV 缓存</translation>
    </message>
    <message>
        <source>Answers of {count} tokens</source>
        <translation>回答最长 {count} 词元</translation>
    </message>
    <message>
        <source>Context stretched ×{factor}</source>
        <translation>上下文扩展 ×{factor}</translation>
    </message>
    <message>
        <source>Weights in {precision}</source>
        <translation>权重用 {precision}</translation>
    </message>
</context>
<context>
    <name>FoundList</name>
    <message>
        <source>More in this chat</source>
        <translation>此对话中的更多结果</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>Archive</source>
        <translation>归档</translation>
    </message>
    <message>
        <source>Bin</source>
        <translation>回收站</translation>
    </message>
    <message>
        <source>You</source>
        <translation>你</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>思考</translation>
    </message>
</context>
<context>
    <name>Frame</name>
    <message>
        <source>Width of the chat list</source>
        <translation>对话列表的宽度</translation>
    </message>
    <message>
        <source>Width of the memory panel</source>
        <translation>内存面板的宽度</translation>
    </message>
</context>
<context>
    <name>GapCard</name>
    <message>
        <source>Why messages are left out</source>
        <translation>为什么省略消息</translation>
    </message>
    <message>
        <source>Why?</source>
        <translation>为什么？</translation>
    </message>
    <message numerus="yes">
        <source>The model no longer sees the %Ln messages above.</source>
        <translation>
            <numerusform>模型已看不到上面的 %Ln 条消息。</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The model no longer sees %Ln of the messages above.</source>
        <translation>
            <numerusform>模型已看不到上面消息中的 %Ln 条。</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>GetDialog</name>
    <message>
        <source>Get a checkpoint</source>
        <translation>获取检查点</translation>
    </message>
    <message>
        <source>Repository name or address</source>
        <translation>仓库名称或地址</translation>
    </message>
    <message>
        <source>Hub</source>
        <translation>模型站</translation>
    </message>
    <message>
        <source>Revision</source>
        <translation>版本</translation>
    </message>
    <message>
        <source>newest; or a branch, tag or commit</source>
        <translation>最新；或分支、标签、提交</translation>
    </message>
    <message>
        <source>Look it up</source>
        <translation>查询</translation>
    </message>
    <message>
        <source>Repository</source>
        <translation>仓库</translation>
    </message>
    <message>
        <source>Folder for it</source>
        <translation>存放的文件夹</translation>
    </message>
    <message>
        <source>Choose…</source>
        <translation>选择…</translation>
    </message>
    <message>
        <source>Choose the folder</source>
        <translation>选择文件夹</translation>
    </message>
    <message>
        <source>Save in</source>
        <translation>保存到</translation>
    </message>
    <message>
        <source>Hub access…</source>
        <translation>模型站访问…</translation>
    </message>
    <message>
        <source>Hub access</source>
        <translation>模型站访问</translation>
    </message>
    <message>
        <source>Download</source>
        <translation>下载</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Folder for checkpoints</source>
        <translation>检查点文件夹</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Check</source>
        <translation>检查</translation>
    </message>
    <message>
        <source>Asking {hub}…</source>
        <translation>正在询问 {hub}…</translation>
    </message>
    <message>
        <source>{hub} is asked when you press Look it up.</source>
        <translation>按“查询”时才会询问 {hub}。</translation>
    </message>
    <message>
        <source>{name} on {hub}</source>
        <translation>{hub} 上的 {name}</translation>
    </message>
    <message>
        <source>{count} files, {size}</source>
        <translation>{count} 个文件，{size}</translation>
    </message>
    <message>
        <source>{size} of it here already</source>
        <translation>其中 {size} 已在本机</translation>
    </message>
    <message>
        <source>Licence: {licence}</source>
        <translation>许可证：{licence}</translation>
    </message>
    <message>
        <source>not named; see its page</source>
        <translation>未注明；见其页面</translation>
    </message>
    <message>
        <source>Goes to {folder}. {need} are needed, {free} are free.</source>
        <translation>保存到 {folder}。需要 {need}，可用 {free}。</translation>
    </message>
    <message>
        <source>There is no room in {folder}: {need} are needed, {free} are free.</source>
        <translation>{folder} 空间不足：需要 {need}，可用 {free}。</translation>
    </message>
</context>
<context>
    <name>Header</name>
    <message>
        <source>Main menu</source>
        <translation>主菜单</translation>
    </message>
    <message>
        <source>Show or hide the chat list</source>
        <translation>显示或隐藏对话列表</translation>
    </message>
    <message>
        <source>Base model</source>
        <translation>基础模型</translation>
    </message>
    <message>
        <source>Base model: it continues text; there are no turns.</source>
        <translation>基础模型：它续写文本，没有对话轮次。</translation>
    </message>
    <message>
        <source>Show or hide the memory panel</source>
        <translation>显示或隐藏内存面板</translation>
    </message>
    <message>
        <source>Checkpoint</source>
        <translation>检查点</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>{model} on {host}</source>
        <translation>{host} 上的 {model}</translation>
    </message>
    <message>
        <source>Answered on a server: {what}</source>
        <translation>由服务器回答：{what}</translation>
    </message>
    <message>
        <source>Loading {name}…</source>
        <translation>正在加载 {name}…</translation>
    </message>
    <message>
        <source>No checkpoint</source>
        <translation>未打开检查点</translation>
    </message>
    <message>
        <source>KV cache: {format}</source>
        <translation>KV 缓存：{format}</translation>
    </message>
    <message>
        <source>Checkpoint: {name}</source>
        <translation>检查点：{name}</translation>
    </message>
    <message>
        <source>Open checkpoint folder…</source>
        <translation>打开检查点文件夹…</translation>
    </message>
    <message>
        <source>Cancel loading</source>
        <translation>取消加载</translation>
    </message>
    <message>
        <source>Model card</source>
        <translation>模型卡片</translation>
    </message>
    <message>
        <source>Demo checkpoint</source>
        <translation>演示检查点</translation>
    </message>
</context>
<context>
    <name>HeatLegend</name>
    <message>
        <source>Probability of a token</source>
        <translation>词元的概率</translation>
    </message>
</context>
<context>
    <name>HelpView</name>
    <message>
        <source>Diagnostics</source>
        <translation>诊断信息</translation>
    </message>
    <message>
        <source>What helps to find a fault, to be sent along with a report. It holds nothing of your chats and no names of your files.</source>
        <translation>有助于查找故障的信息，可随问题报告一起发送。其中不含你的对话内容，也不含你的文件名。</translation>
    </message>
    <message>
        <source>Last crash report</source>
        <translation>上次的崩溃报告</translation>
    </message>
    <message>
        <source>Close message</source>
        <translation>关闭消息</translation>
    </message>
    <message>
        <source>The last run ended in a crash. What was on disk is kept.</source>
        <translation>上次运行因崩溃而结束。磁盘上的内容都已保留。</translation>
    </message>
    <message>
        <source>Show report</source>
        <translation>查看报告</translation>
    </message>
    <message>
        <source>Crash report</source>
        <translation>崩溃报告</translation>
    </message>
    <message>
        <source>Where the program was when it crashed, to be sent along with a report. It holds no values: nothing of your chats and no names of your files.</source>
        <translation>程序崩溃时所处的位置，可随问题报告一起发送。其中没有任何数值：不含你的对话内容，也不含你的文件名。</translation>
    </message>
    <message>
        <source>Show folder</source>
        <translation>显示文件夹</translation>
    </message>
    <message>
        <source>There is no report of a crash.</source>
        <translation>没有崩溃报告。</translation>
    </message>
    <message>
        <source>Save report as</source>
        <translation>报告另存为</translation>
    </message>
    <message>
        <source>Saved “{name}”</source>
        <translation>已保存“{name}”</translation>
    </message>
    <message>
        <source>Show in folder</source>
        <translation>在文件夹中显示</translation>
    </message>
</context>
<context>
    <name>HubPart</name>
    <message>
        <source>Paste a token of yours</source>
        <translation>粘贴你的令牌</translation>
    </message>
    <message>
        <source>Token for {hub}</source>
        <translation>{hub} 的令牌</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>保存</translation>
    </message>
    <message>
        <source>Test</source>
        <translation>测试</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>移除</translation>
    </message>
    <message>
        <source>Looking…</source>
        <translation>正在查看…</translation>
    </message>
    <message>
        <source>Saving…</source>
        <translation>正在保存…</translation>
    </message>
    <message>
        <source>Asking {hub}…</source>
        <translation>正在询问 {hub}…</translation>
    </message>
    <message>
        <source>There is no token.</source>
        <translation>没有令牌。</translation>
    </message>
    <message>
        <source>From the environment: {variable}.</source>
        <translation>来自环境变量：{variable}。</translation>
    </message>
    <message>
        <source>From the file that the hub&apos;s own programs keep.</source>
        <translation>来自模型站官方程序保存的文件。</translation>
    </message>
    <message>
        <source>In the keyring of the system.</source>
        <translation>在系统密钥环中。</translation>
    </message>
    <message>
        <source>Kept until the program ends: it is in no file.</source>
        <translation>保留到程序结束：不在任何文件中。</translation>
    </message>
    <message>
        <source>This system has no keyring. Set {variable} in the environment for a lasting one.</source>
        <translation>本系统没有密钥环。要长期保留，请设置环境变量 {variable}。</translation>
    </message>
    <message>
        <source>The token is good. It belongs to {name}.</source>
        <translation>令牌有效，属于 {name}。</translation>
    </message>
    <message>
        <source>The token is good.</source>
        <translation>令牌有效。</translation>
    </message>
</context>
<context>
    <name>ImportDialog</name>
    <message>
        <source>Import chats</source>
        <translation>导入对话</translation>
    </message>
    <message>
        <source>Qwen Desktop: saved chats (.qwenchat.json) and profiles (.qwenprofile)</source>
        <translation>Qwen Desktop：保存的对话 (.qwenchat.json) 和配置文件夹 (.qwenprofile)</translation>
    </message>
    <message>
        <source>ChatGPT: the export as it is downloaded (.zip), or its conversations.json</source>
        <translation>ChatGPT：下载的导出文件 (.zip)，或其中的 conversations.json</translation>
    </message>
    <message>
        <source>Open WebUI: exported chats</source>
        <translation>Open WebUI：导出的对话</translation>
    </message>
    <message>
        <source>LM Studio: its conversations folder, or single chats</source>
        <translation>LM Studio：它的 conversations 文件夹，或单个对话</translation>
    </message>
    <message>
        <source>Jan: its threads folder, or single threads</source>
        <translation>Jan：它的 threads 文件夹，或单个对话</translation>
    </message>
    <message>
        <source>Messages as the OpenAI API and ShareGPT have them: .json, .jsonl</source>
        <translation>OpenAI API 和 ShareGPT 格式的消息：.json、.jsonl</translation>
    </message>
    <message>
        <source>Choose files…</source>
        <translation>选择文件…</translation>
    </message>
    <message>
        <source>Choose files</source>
        <translation>选择文件</translation>
    </message>
    <message>
        <source>Choose folder…</source>
        <translation>选择文件夹…</translation>
    </message>
    <message>
        <source>Choose folder</source>
        <translation>选择文件夹</translation>
    </message>
    <message>
        <source>Bring your chats along</source>
        <translation>把你的对话带过来</translation>
    </message>
    <message>
        <source>Chats so far: {count}</source>
        <translation>目前的对话：{count}</translation>
    </message>
    <message>
        <source>What is here already is not doubled, and nothing here is changed or lost. Files can be dropped here, too.</source>
        <translation>已有的内容不会重复，现有内容不会被更改或丢失。也可以把文件拖放到这里。</translation>
    </message>
    <message>
        <source>Progress of the import</source>
        <translation>导入进度</translation>
    </message>
    <message>
        <source>Undo import</source>
        <translation>撤销导入</translation>
    </message>
    <message>
        <source>Moves what was added to the bin</source>
        <translation>把新增的内容移到回收站</translation>
    </message>
    <message>
        <source>Copy list</source>
        <translation>复制列表</translation>
    </message>
    <message>
        <source>Import more…</source>
        <translation>继续导入…</translation>
    </message>
    <message>
        <source>Cancel import</source>
        <translation>取消导入</translation>
    </message>
    <message>
        <source>Reading…</source>
        <translation>正在读取…</translation>
    </message>
    <message>
        <source>It was cancelled: the rest was not looked at.</source>
        <translation>已取消：其余内容没有处理。</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>Incoming</name>
    <message>
        <source>Open chat</source>
        <translation>打开对话</translation>
    </message>
    <message>
        <source>Chats</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>All files</source>
        <translation>所有文件</translation>
    </message>
    <message>
        <source>Import chats</source>
        <translation>导入对话</translation>
    </message>
    <message>
        <source>Import a folder</source>
        <translation>导入文件夹</translation>
    </message>
</context>
<context>
    <name>Inspection</name>
    <message>
        <source>What would be sent now</source>
        <translation>现在会发送的内容</translation>
    </message>
    <message>
        <source>Follows what is typed</source>
        <translation>随输入更新</translation>
    </message>
    <message>
        <source>Prompt of an answer</source>
        <translation>某个回答的提示词</translation>
    </message>
</context>
<context>
    <name>Inspector</name>
    <message>
        <source>Prompt inspector</source>
        <translation>提示词查看器</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>文本</translation>
    </message>
    <message>
        <source>Ids</source>
        <translation>编号</translation>
    </message>
    <message>
        <source>Both</source>
        <translation>两者</translation>
    </message>
    <message>
        <source>Show: {what}</source>
        <translation>显示：{what}</translation>
    </message>
    <message>
        <source>Find text or ids</source>
        <translation>查找文字或编号</translation>
    </message>
    <message>
        <source>Previous occurrence</source>
        <translation>上一处</translation>
    </message>
    <message>
        <source>Next occurrence</source>
        <translation>下一处</translation>
    </message>
    <message>
        <source>Tokens of the prompt</source>
        <translation>提示词的词元</translation>
    </message>
    <message>
        <source>Copy text</source>
        <translation>复制文本</translation>
    </message>
    <message>
        <source>Copy ids</source>
        <translation>复制编号</translation>
    </message>
    <message>
        <source>Copy JSON</source>
        <translation>复制 JSON</translation>
    </message>
    <message>
        <source>Copy transformers call</source>
        <translation>复制 transformers 调用</translation>
    </message>
    <message>
        <source>A Python program that makes the same ids from the checkpoint&apos;s files</source>
        <translation>一段 Python 程序，用检查点的文件得到同样的编号</translation>
    </message>
    <message>
        <source>{at} of {count}</source>
        <translation>第 {at} 个，共 {count} 个</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>JumpButton</name>
    <message>
        <source>Jump to latest</source>
        <translation>跳到最新</translation>
    </message>
    <message numerus="yes">
        <source>%Ln new messages</source>
        <translation>
            <numerusform>%Ln 条新消息</numerusform>
        </translation>
    </message>
    <message>
        <source>new text</source>
        <translation>新内容</translation>
    </message>
</context>
<context>
    <name>Leaving</name>
    <message>
        <source>Saved to {file}</source>
        <translation>已保存到 {file}</translation>
    </message>
</context>
<context>
    <name>LedgerView</name>
    <message>
        <source>Memory</source>
        <translation>内存</translation>
    </message>
    <message>
        <source>Hide the parts</source>
        <translation>隐藏各部分</translation>
    </message>
    <message>
        <source>Weights</source>
        <translation>权重</translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation>KV 缓存</translation>
    </message>
    <message>
        <source>KV cache, other chats</source>
        <translation>KV 缓存，其他对话</translation>
    </message>
    <message>
        <source>Activations</source>
        <translation>激活值</translation>
    </message>
    <message>
        <source>Allocator slack</source>
        <translation>分配器余量</translation>
    </message>
    <message>
        <source>This program</source>
        <translation>本程序</translation>
    </message>
    <message>
        <source>Other programs</source>
        <translation>其他程序</translation>
    </message>
    <message>
        <source>Free</source>
        <translation>空闲</translation>
    </message>
    <message>
        <source>KV cache to come</source>
        <translation>将增长的 KV 缓存</translation>
    </message>
    <message>
        <source>Activations, peak</source>
        <translation>激活值，峰值</translation>
    </message>
    <message>
        <source>Mapped files</source>
        <translation>映射的文件</translation>
    </message>
    <message>
        <source>Swap</source>
        <translation>交换空间</translation>
    </message>
    <message>
        <source>of {total}</source>
        <translation>共 {total}</translation>
    </message>
    <message>
        <source>Memory (RAM)</source>
        <translation>内存（RAM）</translation>
    </message>
    <message>
        <source>GPU memory</source>
        <translation>显存</translation>
    </message>
    <message>
        <source>GPU {number}: {name}</source>
        <translation>GPU {number}：{name}</translation>
    </message>
    <message>
        <source>{used} of {total} in use</source>
        <translation>已用 {used}，共 {total}</translation>
    </message>
    <message>
        <source>The rest of this program: its libraries, the window, and what it computes with.</source>
        <translation>本程序的其余部分：库、窗口和计算所用的内存。</translation>
    </message>
    <message>
        <source>The CUDA context, kernels and workspaces: what this program has on the card besides.</source>
        <translation>CUDA 上下文、内核和工作区：本程序在显卡上的其他占用。</translation>
    </message>
    <message>
        <source>The driver does not tell how much that is: it is an estimate.</source>
        <translation>驱动程序不提供这个数值：这是估计值。</translation>
    </message>
    <message>
        <source>The last answer took {peak}, as measured.</source>
        <translation>上一个回答实测用了 {peak}。</translation>
    </message>
    <message>
        <source>Memory of this program that the system has moved to the disk. Of the swap, {used} of {total} are in use by all programs.</source>
        <translation>本程序被系统移到磁盘上的内存。所有程序共使用了交换空间 {total} 中的 {used}。</translation>
    </message>
    <message>
        <source>What the model has learned. It stays until the model is closed.</source>
        <translation>模型学到的内容，直到模型关闭前一直占用。</translation>
    </message>
    <message>
        <source>Keys and values of every token of this chat, so that nothing is read twice.</source>
        <translation>此对话每个词元的键和值，这样什么都不用读两遍。</translation>
    </message>
    <message>
        <source>The same of other chats; given up where this one needs it.</source>
        <translation>其他对话的同类内容；此对话需要时会让出。</translation>
    </message>
    <message>
        <source>What is being computed with at this moment.</source>
        <translation>此刻计算所用的内存。</translation>
    </message>
    <message>
        <source>Taken from the card by torch&apos;s allocator and in use for nothing: what comes next is taken from it first.</source>
        <translation>torch 的分配器已从显卡取得但尚未使用：接下来的需要先从这里取。</translation>
    </message>
    <message>
        <source>Other programs and the system.</source>
        <translation>其他程序和系统。</translation>
    </message>
    <message>
        <source>In use by nobody.</source>
        <translation>没有被使用。</translation>
    </message>
    <message>
        <source>What the KV cache grows by until the context of {tokens} tokens is full.</source>
        <translation>到 {tokens} 词元的上下文填满之前，KV 缓存还会增长的量。</translation>
    </message>
    <message>
        <source>What computing takes for a moment at the end of {tokens} tokens, as planned.</source>
        <translation>在 {tokens} 词元末尾计算时短暂占用的内存，按计划值。</translation>
    </message>
    <message>
        <source>Pages of files, such as libraries. The system can read them again, so that they count as free.</source>
        <translation>文件（例如库）的页面。系统可以重新读取，所以算作空闲。</translation>
    </message>
    <message>
        <source>Show the parts</source>
        <translation>显示各部分</translation>
    </message>
</context>
<context>
    <name>LibraryPage</name>
    <message>
        <source>Checkpoints of this computer</source>
        <translation>这台电脑上的检查点</translation>
    </message>
    <message>
        <source>Search the library</source>
        <translation>搜索模型库</translation>
    </message>
    <message>
        <source>Show</source>
        <translation>显示</translation>
    </message>
    <message>
        <source>All</source>
        <translation>全部</translation>
    </message>
    <message>
        <source>What opens</source>
        <translation>能打开的</translation>
    </message>
    <message>
        <source>What does not open</source>
        <translation>不能打开的</translation>
    </message>
    <message>
        <source>Add folder…</source>
        <translation>添加文件夹…</translation>
    </message>
    <message>
        <source>A checkpoint, or a folder with checkpoints in it, which is watched from then.</source>
        <translation>一个检查点，或包含检查点的文件夹（此后会持续查看）。</translation>
    </message>
    <message>
        <source>Watched folders</source>
        <translation>查看的文件夹</translation>
    </message>
    <message>
        <source>Search again</source>
        <translation>重新搜索</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Details…</source>
        <translation>详细信息…</translation>
    </message>
    <message>
        <source>Verify</source>
        <translation>校验</translation>
    </message>
    <message>
        <source>Compare every file with the hash that the hub gave for it.</source>
        <translation>把每个文件与模型站给出的哈希值比较。</translation>
    </message>
    <message>
        <source>Get what is missing…</source>
        <translation>获取缺少的文件…</translation>
    </message>
    <message>
        <source>More</source>
        <translation>更多</translation>
    </message>
    <message>
        <source>Verifying</source>
        <translation>正在校验</translation>
    </message>
    <message>
        <source>Stop verifying</source>
        <translation>停止校验</translation>
    </message>
    <message>
        <source>Nothing of the library is like that.</source>
        <translation>模型库中没有这样的检查点。</translation>
    </message>
    <message>
        <source>Looking for checkpoints…</source>
        <translation>正在查找检查点…</translation>
    </message>
    <message>
        <source>No checkpoint was found. Add a folder, or a folder with checkpoints in it; those in the caches of Hugging Face and ModelScope are found by themselves. The catalogue has what can be downloaded.</source>
        <translation>没有找到检查点。请添加检查点文件夹，或包含检查点的文件夹；Hugging Face 与 ModelScope 缓存中的会自动找到。可下载的见目录。</translation>
    </message>
    <message>
        <source>Checkpoints: {count}, {size} on disk</source>
        <translation>检查点：{count} 个，占用磁盘 {size}</translation>
    </message>
    <message>
        <source>Stop searching</source>
        <translation>停止搜索</translation>
    </message>
    <message>
        <source>Folders to look into: {count}</source>
        <translation>待查看的文件夹：{count}</translation>
    </message>
    <message>
        <source>Add a folder to the library</source>
        <translation>把文件夹添加到模型库</translation>
    </message>
    <message>
        <source>Stop looking in {folder}</source>
        <translation>不再查看 {folder}</translation>
    </message>
    <message>
        <source>No folder is watched</source>
        <translation>没有查看任何文件夹</translation>
    </message>
    <message>
        <source>Checkpoint menu</source>
        <translation>检查点菜单</translation>
    </message>
    <message>
        <source>Show folder</source>
        <translation>显示文件夹</translation>
    </message>
    <message>
        <source>Remove from list</source>
        <translation>从列表中移除</translation>
    </message>
    <message>
        <source>Delete files…</source>
        <translation>删除文件…</translation>
    </message>
    <message>
        <source>{name} is off the list; its files are where they were.</source>
        <translation>{name} 已从列表中移除；文件仍在原处。</translation>
    </message>
    <message>
        <source>Verifying {name}…</source>
        <translation>正在校验 {name}…</translation>
    </message>
    <message>
        <source>Verifying {name}: {done} of {total}</source>
        <translation>正在校验 {name}：{done}/{total}</translation>
    </message>
    <message>
        <source>{name}: damaged or missing: {files}. Get what is missing fetches them.</source>
        <translation>{name}：损坏或缺少：{files}。“获取缺少的文件”可以补全。</translation>
    </message>
    <message>
        <source>{name}: no hub gave a hash for these files, so nothing was compared.</source>
        <translation>{name}：没有模型站给出这些文件的哈希值，因此没有比较。</translation>
    </message>
    <message>
        <source>{name} is whole: {count} files have the bytes that the hub has.</source>
        <translation>{name} 完整：{count} 个文件与模型站上的一致。</translation>
    </message>
    <message>
        <source>For {count} others there is no hash.</source>
        <translation>另有 {count} 个文件没有哈希值。</translation>
    </message>
    <message>
        <source>Verifying was stopped.</source>
        <translation>校验已停止。</translation>
    </message>
    <message>
        <source>Deleted: {folder}. {size} are free again.</source>
        <translation>已删除：{folder}。释放了 {size}。</translation>
    </message>
</context>
<context>
    <name>LicencesDialog</name>
    <message>
        <source>Third-party licences</source>
        <translation>第三方许可证</translation>
    </message>
    <message>
        <source>One moment…</source>
        <translation>请稍候…</translation>
    </message>
    <message>
        <source>Parts of the program</source>
        <translation>程序的组件</translation>
    </message>
    <message>
        <source>Text of the licence</source>
        <translation>许可证全文</translation>
    </message>
    <message>
        <source>Qwen Desktop is made of {count} parts.</source>
        <translation>Qwen Desktop 由 {count} 个组件构成。</translation>
    </message>
    <message>
        <source>It comes without a text of its licence.</source>
        <translation>此组件没有附带许可证全文。</translation>
    </message>
</context>
<context>
    <name>LinkDialog</name>
    <message>
        <source>Open link?</source>
        <translation>打开链接？</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>地址</translation>
    </message>
    <message>
        <source>The model wrote this link to {host}. Open it in your browser?</source>
        <translation>模型写了这个指向 {host} 的链接。要在浏览器中打开吗？</translation>
    </message>
    <message>
        <source>The model wrote this link. Open it?</source>
        <translation>模型写了这个链接。要打开吗？</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
</context>
<context>
    <name>ListActions</name>
    <message>
        <source>New folder</source>
        <translation>新建文件夹</translation>
    </message>
    <message>
        <source>Name of the folder</source>
        <translation>文件夹名称</translation>
    </message>
    <message>
        <source>New tag</source>
        <translation>新建标签</translation>
    </message>
    <message>
        <source>Name of the tag</source>
        <translation>标签名称</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>“{title}” will be gone for good.</source>
        <translation>“{title}”将被永久删除。</translation>
    </message>
    <message>
        <source>{count} chats will be gone for good.</source>
        <translation>{count} 个对话将永久消失。</translation>
    </message>
    <message>
        <source>One chat will be gone for good.</source>
        <translation>1 个对话将永久消失。</translation>
    </message>
    <message>
        <source>Delete for good?</source>
        <translation>永久删除？</translation>
    </message>
    <message>
        <source>Empty the bin?</source>
        <translation>清空回收站？</translation>
    </message>
    <message>
        <source>Backups that were made before keep it until they are removed.</source>
        <translation>之前做的备份会一直保留它，直到备份被移除。</translation>
    </message>
    <message>
        <source>Delete for good</source>
        <translation>永久删除</translation>
    </message>
    <message>
        <source>Another folder has the name “{name}”</source>
        <translation>已有名为“{name}”的文件夹</translation>
    </message>
</context>
<context>
    <name>MainWindow</name>
    <message>
        <source>Loading…</source>
        <translation>正在加载…</translation>
    </message>
</context>
<context>
    <name>MathBlock</name>
    <message>
        <source>Formula: %1</source>
        <translation>公式：%1</translation>
    </message>
</context>
<context>
    <name>MemoryPanel</name>
    <message>
        <source>Memory panel</source>
        <translation>内存面板</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>名称</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>设备</translation>
    </message>
    <message>
        <source>Precision</source>
        <translation>精度</translation>
    </message>
    <message>
        <source>KV format</source>
        <translation>KV 格式</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>上下文</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>速度</translation>
    </message>
    <message>
        <source>Details</source>
        <translation>详情</translation>
    </message>
    <message>
        <source>Model card</source>
        <translation>模型卡片</translation>
    </message>
    <message>
        <source>Everything there is to see of this checkpoint</source>
        <translation>这个检查点的全部信息</translation>
    </message>
    <message>
        <source>No checkpoint is open.</source>
        <translation>没有打开检查点。</translation>
    </message>
    <message>
        <source>Loading progress</source>
        <translation>加载进度</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Cancel loading</source>
        <translation>取消加载</translation>
    </message>
    <message>
        <source>Waiting for the answer to end…</source>
        <translation>等待回答结束…</translation>
    </message>
    <message>
        <source>Cancelling…</source>
        <translation>正在取消…</translation>
    </message>
    <message>
        <source>{speed} tok/s</source>
        <translation>{speed} 词元/秒</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done} / {total}</translation>
    </message>
    <message>
        <source>Loading…</source>
        <translation>正在加载…</translation>
    </message>
    <message>
        <source>Starting the engine</source>
        <translation>正在启动引擎</translation>
    </message>
    <message>
        <source>Checking the files</source>
        <translation>正在检查文件</translation>
    </message>
    <message>
        <source>Closing the previous model</source>
        <translation>正在关闭之前的模型</translation>
    </message>
    <message>
        <source>Reading weights</source>
        <translation>正在读取权重</translation>
    </message>
    <message>
        <source>Placing weights</source>
        <translation>正在放置权重</translation>
    </message>
    <message>
        <source>Compiling for this processor, once</source>
        <translation>正在为此处理器编译（仅一次）</translation>
    </message>
    <message>
        <source>Warming up</source>
        <translation>正在预热</translation>
    </message>
    <message>
        <source>Reading the prompt</source>
        <translation>正在读取提示词</translation>
    </message>
    <message>
        <source>Waiting for the server</source>
        <translation>正在等待服务器</translation>
    </message>
    <message>
        <source>Reading shard {number} of {count}</source>
        <translation>正在读取分片 {number}/{count}</translation>
    </message>
    <message>
        <source>{stage}, {detail}</source>
        <translation>{stage}：{detail}</translation>
    </message>
</context>
<context>
    <name>MessageMenu</name>
    <message>
        <source>Message menu</source>
        <translation>消息菜单</translation>
    </message>
    <message>
        <source>Previous version</source>
        <translation>上一版本</translation>
    </message>
    <message>
        <source>Next version</source>
        <translation>下一版本</translation>
    </message>
    <message>
        <source>Edit message</source>
        <translation>编辑消息</translation>
    </message>
    <message>
        <source>Continue</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Continue with presence penalty</source>
        <translation>带存在惩罚继续</translation>
    </message>
    <message>
        <source>Retry</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>Answer this message</source>
        <translation>回答这条消息</translation>
    </message>
    <message>
        <source>Copy message</source>
        <translation>复制消息</translation>
    </message>
    <message>
        <source>Copy message as plain text</source>
        <translation>将消息复制为纯文本</translation>
    </message>
    <message>
        <source>Branch into a new chat</source>
        <translation>从这里分支到新对话</translation>
    </message>
    <message>
        <source>Delete message</source>
        <translation>删除消息</translation>
    </message>
    <message>
        <source>Delete message and all below it</source>
        <translation>删除消息及其后的所有内容</translation>
    </message>
    <message>
        <source>Show prompt</source>
        <translation>显示提示词</translation>
    </message>
    <message>
        <source>Show tokens</source>
        <translation>显示词元</translation>
    </message>
    <message>
        <source>How this turn worked</source>
        <translation>这一轮是怎样进行的</translation>
    </message>
    <message>
        <source>Unpin message</source>
        <translation>取消固定消息</translation>
    </message>
    <message>
        <source>Pin message</source>
        <translation>固定消息</translation>
    </message>
    <message>
        <source>Context of this chat…</source>
        <translation>本对话的上下文…</translation>
    </message>
    <message>
        <source>Error details</source>
        <translation>错误详情</translation>
    </message>
    <message>
        <source>Answer details</source>
        <translation>回答详情</translation>
    </message>
</context>
<context>
    <name>MessageView</name>
    <message>
        <source>Your message</source>
        <translation>你的消息</translation>
    </message>
    <message>
        <source>Answer by %1</source>
        <translation>%1 的回答</translation>
    </message>
    <message>
        <source>The server is busy; asked again in %1 s</source>
        <translation>服务器繁忙；%1 秒后重试</translation>
    </message>
    <message>
        <source>Waiting for the server…</source>
        <translation>正在等待服务器…</translation>
    </message>
    <message>
        <source>Reading the prompt, %1 of %2 tokens</source>
        <translation>正在读取提示词，%1 / %2 个词元</translation>
    </message>
</context>
<context>
    <name>ModelCardWindow</name>
    <message>
        <source>Model card</source>
        <translation>模型卡片</translation>
    </message>
    <message>
        <source>Show folder</source>
        <translation>显示文件夹</translation>
    </message>
    <message>
        <source>Parameters</source>
        <translation>参数量</translation>
    </message>
    <message>
        <source>Weights</source>
        <translation>权重</translation>
    </message>
    <message>
        <source>Precision</source>
        <translation>精度</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>设备</translation>
    </message>
    <message>
        <source>Computed by</source>
        <translation>计算路径</translation>
    </message>
    <message>
        <source>Prefill chunk</source>
        <translation>预填充块</translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation>KV 缓存</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>上下文</translation>
    </message>
    <message>
        <source>Guesses ahead</source>
        <translation>预先猜测</translation>
    </message>
    <message>
        <source>Parts of the model card</source>
        <translation>模型卡片的各部分</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>名称</translation>
    </message>
    <message>
        <source>Value</source>
        <translation>值</translation>
    </message>
    <message>
        <source>Configuration</source>
        <translation>配置</translation>
    </message>
    <message>
        <source>Search configuration</source>
        <translation>搜索配置</translation>
    </message>
    <message>
        <source>Chat template</source>
        <translation>对话模板</translation>
    </message>
    <message>
        <source>Copy chat template</source>
        <translation>复制对话模板</translation>
    </message>
    <message>
        <source>There is no chat template: this is a base model, it continues text.</source>
        <translation>没有对话模板：这是基础模型，它续写文本。</translation>
    </message>
    <message>
        <source>Generation defaults</source>
        <translation>生成默认值</translation>
    </message>
    <message>
        <source>Search generation defaults</source>
        <translation>搜索生成默认值</translation>
    </message>
    <message>
        <source>Special tokens</source>
        <translation>特殊词元</translation>
    </message>
    <message>
        <source>Id</source>
        <translation>编号</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>文本</translation>
    </message>
    <message>
        <source>Search tokens</source>
        <translation>搜索词元</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>许可证</translation>
    </message>
    <message>
        <source>Copy licence</source>
        <translation>复制许可证</translation>
    </message>
    <message>
        <source>The folder has no licence file.</source>
        <translation>文件夹里没有许可证文件。</translation>
    </message>
    <message>
        <source>Modules</source>
        <translation>模块</translation>
    </message>
    <message>
        <source>Generation</source>
        <translation>生成</translation>
    </message>
    <message>
        <source>Tokenizer</source>
        <translation>分词器</translation>
    </message>
    <message>
        <source>Shown after this answer…</source>
        <translation>这个回答结束后显示…</translation>
    </message>
    <message>
        <source>No: what the model has read cannot be taken back</source>
        <translation>否：模型读过的内容无法收回</translation>
    </message>
    <message>
        <source>From the text, and by {model}</source>
        <translation>根据文本，并由 {model} 猜测</translation>
    </message>
    <message>
        <source>From the text</source>
        <translation>根据文本</translation>
    </message>
    <message>
        <source>Reading…</source>
        <translation>正在读取…</translation>
    </message>
    <message>
        <source>Shown when loading has ended…</source>
        <translation>加载结束后显示…</translation>
    </message>
    <message>
        <source>No checkpoint is open.</source>
        <translation>没有打开的检查点。</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
    <message>
        <source>{kind}, {count} tokens, from {files}</source>
        <translation>{kind}，{count} 个词元，来自 {files}</translation>
    </message>
</context>
<context>
    <name>Modelling</name>
    <message>
        <source>The files of {folder} are deleted from the disk: {count} files, {size}. They do not go to a bin.</source>
        <translation>{folder} 中的文件将从磁盘删除：{count} 个文件，{size}。不会进入回收站。</translation>
    </message>
    <message>
        <source>{count} other files in the folder stay.</source>
        <translation>文件夹中另外 {count} 个文件会保留。</translation>
    </message>
    <message>
        <source>Delete files</source>
        <translation>删除文件</translation>
    </message>
    <message>
        <source>Delete {size}</source>
        <translation>删除 {size}</translation>
    </message>
</context>
<context>
    <name>ModelsWindow</name>
    <message>
        <source>Models</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Parts of the models window</source>
        <translation>模型窗口的各部分</translation>
    </message>
    <message>
        <source>Library</source>
        <translation>模型库</translation>
    </message>
    <message>
        <source>Catalogue</source>
        <translation>目录</translation>
    </message>
    <message>
        <source>Downloads</source>
        <translation>下载</translation>
    </message>
</context>
<context>
    <name>ModuleModel</name>
    <message>
        <source>Module</source>
        <translation>模块</translation>
    </message>
    <message>
        <source>Kind</source>
        <translation>类型</translation>
    </message>
    <message>
        <source>Parameters</source>
        <translation>参数量</translation>
    </message>
    <message>
        <source>Bytes</source>
        <translation>字节</translation>
    </message>
    <message>
        <source>Type</source>
        <translation>类型</translation>
    </message>
    <message>
        <source>Share</source>
        <translation>占比</translation>
    </message>
    <message>
        <source>shared</source>
        <translation>共享</translation>
    </message>
    <message>
        <source>{count} equal ones; below is one of them</source>
        <translation>{count} 个相同的；下面是其中一个</translation>
    </message>
    <message>
        <source>The same weights as {module}</source>
        <translation>与 {module} 是同一份权重</translation>
    </message>
</context>
<context>
    <name>ModuleTree</name>
    <message>
        <source>Modules</source>
        <translation>模块</translation>
    </message>
</context>
<context>
    <name>MoreButton</name>
    <message>
        <source>More actions</source>
        <translation>更多操作</translation>
    </message>
</context>
<context>
    <name>NameDialog</name>
    <message>
        <source>OK</source>
        <translation>确定</translation>
    </message>
</context>
<context>
    <name>NestedBlock</name>
    <message>
        <source>To do</source>
        <translation>未完成</translation>
    </message>
    <message>
        <source>Done</source>
        <translation>已完成</translation>
    </message>
    <message>
        <source>Footnote %1</source>
        <translation>脚注 %1</translation>
    </message>
</context>
<context>
    <name>NoteButton</name>
    <message>
        <source>Back to the reference of footnote %1</source>
        <translation>回到脚注 %1 的引用处</translation>
    </message>
</context>
<context>
    <name>Notice</name>
    <message>
        <source>What to do</source>
        <translation>怎么办</translation>
    </message>
</context>
<context>
    <name>Notices</name>
    <message>
        <source>Close message</source>
        <translation>关闭消息</translation>
    </message>
    <message>
        <source>All changes are on disk.</source>
        <translation>所有更改都已写入磁盘。</translation>
    </message>
    <message>
        <source>Save to a file…</source>
        <translation>保存到文件…</translation>
    </message>
</context>
<context>
    <name>Notifying</name>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>The answer in “{title}” is ready.</source>
        <translation>“{title}”中的回答已完成。</translation>
    </message>
</context>
<context>
    <name>OneFolderMenu</name>
    <message>
        <source>Folder menu</source>
        <translation>文件夹菜单</translation>
    </message>
    <message>
        <source>Rename folder</source>
        <translation>重命名文件夹</translation>
    </message>
    <message>
        <source>Delete folder</source>
        <translation>删除文件夹</translation>
    </message>
</context>
<context>
    <name>OpenDialog</name>
    <message>
        <source>Open checkpoint</source>
        <translation>打开检查点</translation>
    </message>
    <message>
        <source>Recent checkpoints</source>
        <translation>最近的检查点</translation>
    </message>
    <message>
        <source>Checkpoints you open are listed here.</source>
        <translation>打开过的检查点会列在这里。</translation>
    </message>
    <message>
        <source>Choose folder…</source>
        <translation>选择文件夹…</translation>
    </message>
    <message>
        <source>Choose folder</source>
        <translation>选择文件夹</translation>
    </message>
    <message>
        <source>Library and catalogue…</source>
        <translation>模型库与目录…</translation>
    </message>
    <message>
        <source>Library and catalogue</source>
        <translation>模型库与目录</translation>
    </message>
    <message>
        <source>Recent</source>
        <translation>最近</translation>
    </message>
    <message>
        <source>Get what is missing…</source>
        <translation>获取缺少的文件…</translation>
    </message>
    <message>
        <source>Get what is missing</source>
        <translation>获取缺少的文件</translation>
    </message>
    <message>
        <source>Looking into the folder…</source>
        <translation>正在查看文件夹…</translation>
    </message>
    <message>
        <source>This folder is no checkpoint itself, but holds these:</source>
        <translation>这个文件夹本身不是检查点，但其中有这些：</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>This will be tight: little memory is left over.</source>
        <translation>会很勉强：剩下的内存很少。</translation>
    </message>
    <message>
        <source>Choose one of them.</source>
        <translation>请选择其中一个。</translation>
    </message>
    <message>
        <source>Choose a folder.</source>
        <translation>请选择一个文件夹。</translation>
    </message>
    <message>
        <source>This folder cannot be opened.</source>
        <translation>这个文件夹无法打开。</translation>
    </message>
    <message>
        <source>Does not fit: {need} needed, {free} free.</source>
        <translation>放不下：需要 {need}，空闲 {free}。</translation>
    </message>
    <message>
        <source>{precision} would fit.</source>
        <translation>{precision} 放得下。</translation>
    </message>
</context>
<context>
    <name>Outgoing</name>
    <message>
        <source>Export everything…</source>
        <translation>导出全部…</translation>
    </message>
    <message>
        <source>Save as</source>
        <translation>另存为</translation>
    </message>
    <message>
        <source>Choose a folder for the files</source>
        <translation>选择存放文件的文件夹</translation>
    </message>
    <message>
        <source>Chats</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>Replace the file?</source>
        <translation>替换文件？</translation>
    </message>
    <message>
        <source>{name} is there already.</source>
        <translation>{name} 已存在。</translation>
    </message>
    <message>
        <source>Replace</source>
        <translation>替换</translation>
    </message>
    <message>
        <source>Show in folder</source>
        <translation>在文件夹中显示</translation>
    </message>
    <message>
        <source>Exported {count}; {failed} could not be read</source>
        <translation>已导出 {count} 个；{failed} 个无法读取</translation>
    </message>
    <message>
        <source>Saved “{name}”</source>
        <translation>已保存“{name}”</translation>
    </message>
    <message>
        <source>Exported {count} chats</source>
        <translation>已导出 {count} 个对话</translation>
    </message>
    <message>
        <source>Copied as Markdown</source>
        <translation>已复制为 Markdown</translation>
    </message>
</context>
<context>
    <name>OverflowDialog</name>
    <message>
        <source>The context is full</source>
        <translation>上下文已满</translation>
    </message>
    <message>
        <source>With this message the prompt has {prompt} tokens. There is room for {budget} of {limit}; the rest is kept for the answer.</source>
        <translation>加上这条消息，提示词有 {prompt} 个词元。{limit} 个中可用 {budget} 个，其余留给回答。</translation>
    </message>
    <message>
        <source>Nothing is deleted: what the model no longer sees stays in the chat, dimmed.</source>
        <translation>不会删除任何内容：模型看不到的消息仍留在对话中，以暗色显示。</translation>
    </message>
    <message>
        <source>Drop the oldest turns and send</source>
        <translation>省略最早的轮次并发送</translation>
    </message>
    <message>
        <source>Keep the first turn, drop the middle and send</source>
        <translation>保留首轮、省略中间并发送</translation>
    </message>
    <message>
        <source>Take the message to a new chat</source>
        <translation>把消息带到新对话</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
</context>
<context>
    <name>Page</name>
    <message>
        <source>not kept</source>
        <translation>未保留</translation>
    </message>
    <message>
        <source>only the server knows</source>
        <translation>只有服务器知道</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} 秒</translation>
    </message>
    <message>
        <source>{speed} tok/s</source>
        <translation>{speed} 词元/秒</translation>
    </message>
</context>
<context>
    <name>PinButton</name>
    <message>
        <source>Pin message</source>
        <translation>固定消息</translation>
    </message>
    <message>
        <source>Pin</source>
        <translation>固定</translation>
    </message>
    <message>
        <source>Unpin</source>
        <translation>取消固定</translation>
    </message>
    <message>
        <source>A pinned message is never left out of what the model is shown.</source>
        <translation>固定的消息始终会展示给模型。</translation>
    </message>
    <message>
        <source>Unpin message</source>
        <translation>取消固定消息</translation>
    </message>
</context>
<context>
    <name>PinMark</name>
    <message>
        <source>Pinned</source>
        <translation>已固定</translation>
    </message>
</context>
<context>
    <name>PlaceBar</name>
    <message>
        <source>Back to all chats</source>
        <translation>回到所有对话</translation>
    </message>
    <message>
        <source>Folder menu</source>
        <translation>文件夹菜单</translation>
    </message>
    <message>
        <source>Empty bin…</source>
        <translation>清空回收站…</translation>
    </message>
    <message>
        <source>Empty bin</source>
        <translation>清空回收站</translation>
    </message>
    <message>
        <source>Shown: {place}</source>
        <translation>显示：{place}</translation>
    </message>
    <message>
        <source>Archive</source>
        <translation>归档</translation>
    </message>
    <message>
        <source>Bin</source>
        <translation>回收站</translation>
    </message>
    <message>
        <source>Tag: {name}</source>
        <translation>标签：{name}</translation>
    </message>
    <message>
        <source>All chats</source>
        <translation>所有对话</translation>
    </message>
    <message>
        <source>Folder name</source>
        <translation>文件夹名称</translation>
    </message>
</context>
<context>
    <name>PlaceMenu</name>
    <message>
        <source>What the list shows</source>
        <translation>列表显示的内容</translation>
    </message>
    <message>
        <source>All chats</source>
        <translation>所有对话</translation>
    </message>
    <message>
        <source>Folders</source>
        <translation>文件夹</translation>
    </message>
    <message>
        <source>New folder…</source>
        <translation>新建文件夹…</translation>
    </message>
    <message>
        <source>Tags</source>
        <translation>标签</translation>
    </message>
    <message>
        <source>Archive</source>
        <translation>归档</translation>
    </message>
    <message>
        <source>Bin</source>
        <translation>回收站</translation>
    </message>
</context>
<context>
    <name>PlanFiles</name>
    <message>
        <source>Files</source>
        <translation>文件</translation>
    </message>
</context>
<context>
    <name>PlanView</name>
    <message>
        <source>Weights</source>
        <translation>权重</translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation>KV 缓存</translation>
    </message>
    <message>
        <source>Reserve</source>
        <translation>预留</translation>
    </message>
</context>
<context>
    <name>PointsModel</name>
    <message>
        <source>Turn</source>
        <translation>轮</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>Characters</source>
        <translation>字符</translation>
    </message>
    <message>
        <source>Peak</source>
        <translation>峰值</translation>
    </message>
    <message>
        <source>After</source>
        <translation>之后</translation>
    </message>
    <message>
        <source>Predicted</source>
        <translation>预测</translation>
    </message>
    <message>
        <source>First token</source>
        <translation>首个词元</translation>
    </message>
    <message>
        <source>Reading</source>
        <translation>读取</translation>
    </message>
    <message>
        <source>Writing</source>
        <translation>写出</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
</context>
<context>
    <name>PointsTable</name>
    <message>
        <source>Measured answers</source>
        <translation>测量过的回答</translation>
    </message>
</context>
<context>
    <name>PrefillPage</name>
    <message>
        <source>Prefill: the model reads the prompt</source>
        <translation>预填充：模型读取提示词</translation>
    </message>
    <message>
        <source>All tokens go through the model at once, or in pieces where memory is short. For each token every layer keeps a key and a value: the KV cache. What an earlier turn has read is still there and is not read again, so a long conversation costs only what is new in it. The time to the first token is mostly this.</source>
        <translation>所有词元一起通过模型，内存不足时分段通过。每一层为每个词元保留一个键和一个值：这就是 KV 缓存。之前几轮读过的内容还在，不会再读，所以长对话只需为新内容付出代价。首个词元的等待时间主要就是这一步。</translation>
    </message>
    <message numerus="yes">
        <source>%Ln read</source>
        <translation>
            <numerusform>读取 %Ln 个</numerusform>
        </translation>
    </message>
    <message>
        <source>From the cache</source>
        <translation>来自缓存</translation>
    </message>
    <message>
        <source>Read</source>
        <translation>读取</translation>
    </message>
    <message>
        <source>In pieces of</source>
        <translation>分段</translation>
    </message>
    <message numerus="yes">
        <source>at most {count} tokens: %Ln pieces</source>
        <translation>
            <numerusform>每段最多 {count} 词元：%Ln 段</numerusform>
        </translation>
    </message>
    <message>
        <source>Time</source>
        <translation>时间</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>速度</translation>
    </message>
    <message>
        <source>Time to first token</source>
        <translation>首个词元用时</translation>
    </message>
    <message>
        <source>KV cache of the prompt</source>
        <translation>提示词的 KV 缓存</translation>
    </message>
    <message>
        <source>about {size}</source>
        <translation>约 {size}</translation>
    </message>
</context>
<context>
    <name>PresetRow</name>
    <message>
        <source>Preset</source>
        <translation>预设</translation>
    </message>
    <message>
        <source>Save as…</source>
        <translation>另存为…</translation>
    </message>
    <message>
        <source>Save as preset</source>
        <translation>保存为预设</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
    <message>
        <source>Delete preset</source>
        <translation>删除预设</translation>
    </message>
    <message>
        <source>Name of the preset</source>
        <translation>预设名称</translation>
    </message>
    <message>
        <source>Save</source>
        <translation>保存</translation>
    </message>
    <message>
        <source>Save preset</source>
        <translation>保存预设</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Cancel saving</source>
        <translation>取消保存</translation>
    </message>
    <message>
        <source>Recommended by Qwen</source>
        <translation>Qwen 推荐</translation>
    </message>
    <message>
        <source>Own values</source>
        <translation>自定义值</translation>
    </message>
    <message>
        <source>What Qwen and the checkpoint recommend, with thinking and without.</source>
        <translation>Qwen 与检查点在思考和不思考时各自推荐的值。</translation>
    </message>
    <message>
        <source>A preset holds the system prompt, sampling, lengths and stop strings.</source>
        <translation>预设包含系统提示词、采样、长度和停止字符串。</translation>
    </message>
    <message>
        <source>Replace</source>
        <translation>替换</translation>
    </message>
</context>
<context>
    <name>ProblemDialog</name>
    <message>
        <source>Details</source>
        <translation>详细信息</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Copy details</source>
        <translation>复制详细信息</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>PromptBar</name>
    <message>
        <source>What was read of the prompt</source>
        <translation>提示词中读取的部分</translation>
    </message>
    <message>
        <source>{reused} tokens from the cache, {read} read</source>
        <translation>{reused} 个词元来自缓存，读取 {read} 个</translation>
    </message>
    <message>
        <source>▨ from the cache {count}</source>
        <translation>▨ 来自缓存 {count}</translation>
    </message>
    <message>
        <source>■ read {count}</source>
        <translation>■ 读取 {count}</translation>
    </message>
</context>
<context>
    <name>PromptFieldsDialog</name>
    <message>
        <source>Insert</source>
        <translation>插入</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
</context>
<context>
    <name>PromptLine</name>
    <message>
        <source>about {count}</source>
        <translation>约 {count}</translation>
    </message>
    <message>
        <source>Too long: {prompt} of {budget} tokens</source>
        <translation>过长：{prompt} / {budget} 个词元</translation>
    </message>
    <message>
        <source>Prompt {prompt} of {budget} tokens</source>
        <translation>提示词 {prompt} / {budget} 个词元</translation>
    </message>
    <message>
        <source>Prompt {prompt} tokens</source>
        <translation>提示词 {prompt} 个词元</translation>
    </message>
    <message>
        <source>Prompt {prompt} of {limit} tokens, {left} left for the answer</source>
        <translation>提示词 {prompt} / {limit} 个词元，留给回答 {left} 个</translation>
    </message>
    <message>
        <source>Draft {draft}</source>
        <translation>草稿 {draft}</translation>
    </message>
    <message numerus="yes">
        <source>%Ln messages will be left out</source>
        <translation>
            <numerusform>将省略 %Ln 条消息</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>PromptPage</name>
    <message>
        <source>The prompt</source>
        <translation>提示词</translation>
    </message>
    <message>
        <source>Open the prompt inspector</source>
        <translation>打开提示词查看器</translation>
    </message>
    <message>
        <source>A server made the prompt of the messages: only it knows the tokens. The prompt inspector shows what was sent.</source>
        <translation>服务器用这些消息拼成了提示词：词元只有它知道。提示词检查器会显示发送了什么。</translation>
    </message>
    <message>
        <source>Its text is shown while the checkpoint that read it is open.</source>
        <translation>读取它的检查点打开时才显示文字。</translation>
    </message>
    <message>
        <source>The tokens of this prompt were not kept.</source>
        <translation>没有保留这个提示词的词元。</translation>
    </message>
</context>
<context>
    <name>PromptsDialog</name>
    <message>
        <source>Prompt library</source>
        <translation>提示词库</translation>
    </message>
    <message>
        <source>Import…</source>
        <translation>导入…</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>导出…</translation>
    </message>
    <message>
        <source>Prompts</source>
        <translation>提示词</translation>
    </message>
    <message>
        <source>New</source>
        <translation>新建</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
    <message>
        <source>Undo</source>
        <translation>撤销</translation>
    </message>
    <message>
        <source>Name of the prompt</source>
        <translation>提示词名称</translation>
    </message>
    <message>
        <source>Text of the prompt</source>
        <translation>提示词内容</translation>
    </message>
    <message>
        <source>Insert into the message</source>
        <translation>插入消息</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>名称</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>文本</translation>
    </message>
    <message>
        <source>New prompt</source>
        <translation>新提示词</translation>
    </message>
    <message>
        <source>Asked for each time: {names}</source>
        <translation>每次询问：{names}</translation>
    </message>
    <message>
        <source>A name in braces, like {city}, is asked for each time.</source>
        <translation>花括号中的名称（如 {city}）每次都会询问。</translation>
    </message>
    <message>
        <source>There is another prompt of this name; choose another one.</source>
        <translation>已有同名的提示词；请换一个名称。</translation>
    </message>
    <message>
        <source>This text is too long for the library.</source>
        <translation>这段文本对提示词库来说太长。</translation>
    </message>
    <message>
        <source>“{name}” was deleted.</source>
        <translation>已删除“{name}”。</translation>
    </message>
    <message>
        <source>All files</source>
        <translation>所有文件</translation>
    </message>
    <message>
        <source>Import prompts</source>
        <translation>导入提示词</translation>
    </message>
    <message>
        <source>Export prompts</source>
        <translation>导出提示词</translation>
    </message>
    <message numerus="yes">
        <source>%Ln prompts came in.</source>
        <translation>
            <numerusform>导入了 %Ln 条提示词。</numerusform>
        </translation>
    </message>
    <message>
        <source>Written to {file}.</source>
        <translation>已写入 {file}。</translation>
    </message>
</context>
<context>
    <name>QFileDialog</name>
    <message>
        <source>&amp;Look in:</source>
        <translation>查找范围(&amp;L)：</translation>
    </message>
    <message>
        <source>Files of &amp;type:</source>
        <translation>文件类型(&amp;T)：</translation>
    </message>
</context>
<context>
    <name>ReasoningView</name>
    <message>
        <source>Thinking…</source>
        <translation>正在思考…</translation>
    </message>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln 个词元</numerusform>
        </translation>
    </message>
    <message>
        <source>Thought for %1</source>
        <translation>思考了 %1</translation>
    </message>
    <message numerus="yes">
        <source>Thought for %Ln tokens</source>
        <translation>
            <numerusform>思考了 %Ln 个词元</numerusform>
        </translation>
    </message>
    <message>
        <source>Thought</source>
        <translation>思考过程</translation>
    </message>
</context>
<context>
    <name>RecentList</name>
    <message>
        <source>Folder not found</source>
        <translation>找不到文件夹</translation>
    </message>
</context>
<context>
    <name>ReportDialog</name>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>保存…</translation>
    </message>
    <message>
        <source>One moment…</source>
        <translation>请稍候…</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>RestoreDialog</name>
    <message>
        <source>Restore a profile</source>
        <translation>恢复配置文件夹</translation>
    </message>
    <message>
        <source>“{name}”, saved on {when}. Chats: {conversations}.</source>
        <translation>“{name}”，保存于 {when}。对话：{conversations}。</translation>
    </message>
    <message>
        <source>Add the chats that are missing</source>
        <translation>添加缺少的对话</translation>
    </message>
    <message>
        <source>Replace everything at the next start</source>
        <translation>下次启动时替换全部内容</translation>
    </message>
    <message>
        <source>Replacing takes over settings and presets as well. What is here now is not deleted: it is moved into a folder “before restore …” of the profile.</source>
        <translation>替换时也会采用其中的设置和预设。现有内容不会删除，而是移到配置文件夹中名为“before restore …”的文件夹里。</translation>
    </message>
    <message>
        <source>Progress</source>
        <translation>进度</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
</context>
<context>
    <name>RevealButton</name>
    <message>
        <source>Show more (%1 characters left)</source>
        <translation>显示更多（还有 %1 个字符）</translation>
    </message>
    <message>
        <source>Show all</source>
        <translation>全部显示</translation>
    </message>
</context>
<context>
    <name>RowDelegate</name>
    <message>
        <source>Chat title</source>
        <translation>对话标题</translation>
    </message>
</context>
<context>
    <name>RowMenu</name>
    <message>
        <source>Chat menu</source>
        <translation>对话菜单</translation>
    </message>
    <message>
        <source>Open</source>
        <translation>打开</translation>
    </message>
    <message>
        <source>Rename</source>
        <translation>重命名</translation>
    </message>
    <message>
        <source>Restore</source>
        <translation>恢复</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>导出…</translation>
    </message>
    <message>
        <source>Copy as Markdown</source>
        <translation>复制为 Markdown</translation>
    </message>
    <message>
        <source>Delete for good…</source>
        <translation>永久删除…</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
    <message>
        <source>Unpin</source>
        <translation>取消置顶</translation>
    </message>
    <message>
        <source>Pin</source>
        <translation>置顶</translation>
    </message>
    <message>
        <source>Unarchive</source>
        <translation>取消归档</translation>
    </message>
    <message>
        <source>Archive</source>
        <translation>归档</translation>
    </message>
</context>
<context>
    <name>Safekeeping</name>
    <message>
        <source>Show folder</source>
        <translation>显示文件夹</translation>
    </message>
    <message>
        <source>Checking chats after an unclean end…</source>
        <translation>上次未正常结束，正在检查对话…</translation>
    </message>
    <message>
        <source>Opening chats…</source>
        <translation>正在打开对话…</translation>
    </message>
    <message>
        <source>The chat database was damaged. What could be read was recovered (chats: {conversations}, messages: {messages}). The damaged file is kept in {folder}.</source>
        <translation>对话数据库已损坏。能读取的内容已恢复（对话：{conversations}，消息：{messages}）。损坏的文件保存在 {folder}。</translation>
    </message>
    <message>
        <source>Messages of which only a part is left: {damaged}.</source>
        <translation>只剩一部分的消息：{damaged}。</translation>
    </message>
    <message>
        <source>The chat database was missing. The backup of {date} was opened in its place.</source>
        <translation>对话数据库不见了。已改为打开 {date} 的备份。</translation>
    </message>
    <message>
        <source>The chat database was damaged. The backup of {date} was opened; nothing newer was found. The damaged file is kept in {folder}.</source>
        <translation>对话数据库已损坏。已打开 {date} 的备份；没有找到更新的内容。损坏的文件保存在 {folder}。</translation>
    </message>
    <message>
        <source>The chat database was damaged. The backup of {date} was opened, and what was newer was recovered into it (chats: {conversations}, messages: {messages}). The damaged file is kept in {folder}.</source>
        <translation>对话数据库已损坏。已打开 {date} 的备份，并把更新的内容恢复进去（对话：{conversations}，消息：{messages}）。损坏的文件保存在 {folder}。</translation>
    </message>
    <message>
        <source>The backup is restored</source>
        <translation>备份已恢复</translation>
    </message>
</context>
<context>
    <name>SavingCode</name>
    <message>
        <source>Save code as</source>
        <translation>代码另存为</translation>
    </message>
    <message>
        <source>Saved “{name}”</source>
        <translation>已保存“{name}”</translation>
    </message>
    <message>
        <source>Show in folder</source>
        <translation>在文件夹中显示</translation>
    </message>
</context>
<context>
    <name>Scheme</name>
    <message>
        <source>Steps of a turn</source>
        <translation>一轮的步骤</translation>
    </message>
</context>
<context>
    <name>ScoreModel</name>
    <message>
        <source>Token</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>Probability</source>
        <translation>概率</translation>
    </message>
    <message>
        <source>Log</source>
        <translation>对数</translation>
    </message>
    <message>
        <source>Alternatives</source>
        <translation>候选</translation>
    </message>
    <message>
        <source>Token {id}</source>
        <translation>词元 {id}</translation>
    </message>
</context>
<context>
    <name>ScoreTable</name>
    <message>
        <source>Reading…</source>
        <translation>正在读取…</translation>
    </message>
    <message>
        <source>Log probabilities</source>
        <translation>对数概率</translation>
    </message>
    <message>
        <source>None were kept. Set “Alternatives per token” in the settings, then answers keep how likely each token was.</source>
        <translation>没有保留。在设置中设定“每个词元的候选数”后，回答会保留各词元的概率。</translation>
    </message>
</context>
<context>
    <name>SearchPane</name>
    <message>
        <source>Search results</source>
        <translation>搜索结果</translation>
    </message>
    <message>
        <source>Previous hit</source>
        <translation>上一个结果</translation>
    </message>
    <message>
        <source>Next hit</source>
        <translation>下一个结果</translation>
    </message>
    <message>
        <source>{at} of {count}</source>
        <translation>第 {at} 个，共 {count} 个</translation>
    </message>
    <message>
        <source>In titles only</source>
        <translation>仅在标题中</translation>
    </message>
    <message>
        <source>1 message</source>
        <translation>1 条消息</translation>
    </message>
    <message>
        <source>{count} messages</source>
        <translation>{count} 条消息</translation>
    </message>
    <message>
        <source>1 chat</source>
        <translation>1 个对话</translation>
    </message>
    <message>
        <source>{count} chats</source>
        <translation>{count} 个对话</translation>
    </message>
    <message>
        <source>Nothing found.</source>
        <translation>没有找到。</translation>
    </message>
    <message>
        <source>Not understood: {what}</source>
        <translation>无法理解：{what}</translation>
    </message>
    <message>
        <source>Filters: model: before: after: tag: role: folder:</source>
        <translation>筛选：模型: 之前: 之后: 标签: 角色: 文件夹:</translation>
    </message>
    <message>
        <source>Still indexing {count} messages</source>
        <translation>还有 {count} 条消息正在编入索引</translation>
    </message>
</context>
<context>
    <name>SegmentBar</name>
    <message>
        <source>Proportions of the prompt</source>
        <translation>提示词的比例</translation>
    </message>
</context>
<context>
    <name>SegmentModel</name>
    <message>
        <source>Part</source>
        <translation>部分</translation>
    </message>
    <message>
        <source>Text</source>
        <translation>文本</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
</context>
<context>
    <name>SegmentTable</name>
    <message>
        <source>Parts of the prompt</source>
        <translation>提示词的各部分</translation>
    </message>
</context>
<context>
    <name>SelectionBar</name>
    <message>
        <source>End the selection</source>
        <translation>结束选择</translation>
    </message>
    <message>
        <source>Pin or unpin the selected chats</source>
        <translation>置顶或取消置顶选中的对话</translation>
    </message>
    <message>
        <source>Move the selected chats</source>
        <translation>移动选中的对话</translation>
    </message>
    <message>
        <source>Tag the selected chats</source>
        <translation>给选中的对话加标签</translation>
    </message>
    <message>
        <source>Archive the selected chats</source>
        <translation>归档选中的对话</translation>
    </message>
    <message>
        <source>Restore the selected chats</source>
        <translation>恢复选中的对话</translation>
    </message>
    <message>
        <source>Export the selected chats</source>
        <translation>导出选中的对话</translation>
    </message>
    <message>
        <source>Delete the selected chats</source>
        <translation>删除选中的对话</translation>
    </message>
    <message>
        <source>Unarchive the selected chats</source>
        <translation>取消归档选中的对话</translation>
    </message>
    <message>
        <source>{count} selected</source>
        <translation>已选 {count} 个</translation>
    </message>
</context>
<context>
    <name>SentView</name>
    <message>
        <source>Messages of the request</source>
        <translation>请求中的消息</translation>
    </message>
</context>
<context>
    <name>ServerView</name>
    <message>
        <source>Server of this chat</source>
        <translation>此对话的服务器</translation>
    </message>
    <message>
        <source>Server</source>
        <translation>服务器</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>上下文</translation>
    </message>
    <message>
        <source>KV cache in use</source>
        <translation>KV 缓存占用</translation>
    </message>
    <message>
        <source>KV cache in use on the server</source>
        <translation>服务器上的 KV 缓存占用</translation>
    </message>
    <message>
        <source>Requests</source>
        <translation>请求</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
    <message>
        <source>{count} running</source>
        <translation>{count} 个进行中</translation>
    </message>
    <message>
        <source>{count} waiting</source>
        <translation>{count} 个等待中</translation>
    </message>
</context>
<context>
    <name>ServingDialog</name>
    <message>
        <source>Local server</source>
        <translation>本地服务器</translation>
    </message>
    <message>
        <source>Other programs of this computer can ask the open model here, as they would ask OpenAI&apos;s API. Nothing that they ask is stored.</source>
        <translation>这台电脑上的其他程序可以在这里询问已打开的模型，方式与 OpenAI 的 API 相同。它们询问的内容不会保存。</translation>
    </message>
    <message>
        <source>Port</source>
        <translation>端口</translation>
    </message>
    <message>
        <source>Ask for a key</source>
        <translation>要求密钥</translation>
    </message>
    <message>
        <source>Key</source>
        <translation>密钥</translation>
    </message>
    <message>
        <source>Show</source>
        <translation>显示</translation>
    </message>
    <message>
        <source>Copy key</source>
        <translation>复制密钥</translation>
    </message>
    <message>
        <source>New key</source>
        <translation>新密钥</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>启动</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>地址</translation>
    </message>
    <message>
        <source>Copy address</source>
        <translation>复制地址</translation>
    </message>
    <message>
        <source>Copy page</source>
        <translation>复制网页地址</translation>
    </message>
    <message>
        <source>The address of a page to chat at, for a browser</source>
        <translation>供浏览器使用的对话网页地址</translation>
    </message>
    <message>
        <source>Requests. Their texts are not noted.</source>
        <translation>请求记录；不记录其文字内容。</translation>
    </message>
    <message>
        <source>Requests</source>
        <translation>请求</translation>
    </message>
    <message>
        <source>Copy the log</source>
        <translation>复制日志</translation>
    </message>
    <message>
        <source>Clear the log</source>
        <translation>清空日志</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>正在停止…</translation>
    </message>
    <message>
        <source>Starting…</source>
        <translation>正在启动…</translation>
    </message>
    <message>
        <source>The server is off.</source>
        <translation>服务器已关闭。</translation>
    </message>
    <message>
        <source>Running. A request waits for the answer in the window.</source>
        <translation>运行中。一个请求正在等待窗口中的回答。</translation>
    </message>
    <message>
        <source>Running. Answering a request; {count} wait.</source>
        <translation>运行中。正在回答一个请求；{count} 个在等待。</translation>
    </message>
    <message>
        <source>Running. Answering a request.</source>
        <translation>运行中。正在回答一个请求。</translation>
    </message>
    <message>
        <source>Running.</source>
        <translation>运行中。</translation>
    </message>
    <message>
        <source>Looking into the keyring of the system…</source>
        <translation>正在查看系统密钥环…</translation>
    </message>
    <message>
        <source>Kept in the keyring of the system.</source>
        <translation>保存在系统密钥环中。</translation>
    </message>
    <message>
        <source>This system has no keyring: the key holds until the program ends.</source>
        <translation>本系统没有密钥环：密钥保留到程序结束。</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>ServingLog</name>
    <message>
        <source>Time</source>
        <translation>时间</translation>
    </message>
    <message>
        <source>Path</source>
        <translation>路径</translation>
    </message>
    <message>
        <source>Status</source>
        <translation>状态</translation>
    </message>
    <message>
        <source>Read</source>
        <translation>读取</translation>
    </message>
    <message>
        <source>Kept</source>
        <translation>保留</translation>
    </message>
    <message>
        <source>Written</source>
        <translation>写出</translation>
    </message>
    <message>
        <source>Tokens/s</source>
        <translation>词元/秒</translation>
    </message>
    <message>
        <source>left</source>
        <translation>已离开</translation>
    </message>
</context>
<context>
    <name>ServingView</name>
    <message>
        <source>Close message</source>
        <translation>关闭消息</translation>
    </message>
    <message>
        <source>The local server is answering another program; your message is next.</source>
        <translation>本地服务器正在回答另一个程序；接下来是你的消息。</translation>
    </message>
    <message>
        <source>Show the server</source>
        <translation>显示服务器</translation>
    </message>
    <message>
        <source>Local server is on</source>
        <translation>本地服务器已开启</translation>
    </message>
</context>
<context>
    <name>SettingsDialog</name>
    <message>
        <source>Settings</source>
        <translation>设置</translation>
    </message>
    <message>
        <source>Not available: the library Hunspell is not installed on this system.</source>
        <translation>不可用：此系统没有安装 Hunspell 库。</translation>
    </message>
    <message>
        <source>Not available: Hunspell has no dictionary on this system.</source>
        <translation>不可用：此系统上的 Hunspell 没有词典。</translation>
    </message>
    <message>
        <source>There is no dictionary for this language.</source>
        <translation>没有这种语言的词典。</translation>
    </message>
    <message>
        <source>More</source>
        <translation>更多</translation>
    </message>
</context>
<context>
    <name>ShareView</name>
    <message>
        <source>{need} of {free} free</source>
        <translation>{need} / 空闲 {free}</translation>
    </message>
    <message>
        <source>{need} of {free} free: weights {weights}, KV cache {kv}, reserve {reserve}</source>
        <translation>{need} / 空闲 {free}：权重 {weights}，KV 缓存 {kv}，预留 {reserve}</translation>
    </message>
</context>
<context>
    <name>ShortcutsDialog</name>
    <message>
        <source>Keyboard shortcuts</source>
        <translation>键盘快捷键</translation>
    </message>
    <message>
        <source>Action</source>
        <translation>操作</translation>
    </message>
    <message>
        <source>Keys</source>
        <translation>按键</translation>
    </message>
    <message>
        <source>In the message field</source>
        <translation>在消息框中</translation>
    </message>
    <message>
        <source>In the chat</source>
        <translation>在对话中</translation>
    </message>
    <message>
        <source>In the chat list</source>
        <translation>在对话列表中</translation>
    </message>
    <message>
        <source>New keys</source>
        <translation>新按键</translation>
    </message>
    <message>
        <source>Press the new keys…</source>
        <translation>请按下新的按键…</translation>
    </message>
    <message>
        <source>Use it here</source>
        <translation>用在这里</translation>
    </message>
    <message>
        <source>Change…</source>
        <translation>更改…</translation>
    </message>
    <message>
        <source>Add…</source>
        <translation>添加…</translation>
    </message>
    <message>
        <source>Remove</source>
        <translation>移除</translation>
    </message>
    <message>
        <source>Reset</source>
        <translation>重置</translation>
    </message>
    <message>
        <source>Reset all</source>
        <translation>全部重置</translation>
    </message>
    <message>
        <source>These keys cannot be changed.</source>
        <translation>这些按键不能更改。</translation>
    </message>
    <message>
        <source>Press the keys for “{action}”, or Esc.</source>
        <translation>请按下“{action}”的按键，或按 Esc。</translation>
    </message>
</context>
<context>
    <name>Sidebar</name>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>Search chats</source>
        <translation>搜索对话</translation>
    </message>
    <message>
        <source>Chats</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>The bin is empty.</source>
        <translation>回收站是空的。</translation>
    </message>
    <message>
        <source>Nothing is archived.</source>
        <translation>没有归档的对话。</translation>
    </message>
    <message>
        <source>No chats in this folder.</source>
        <translation>此文件夹中没有对话。</translation>
    </message>
    <message>
        <source>No chats with this tag.</source>
        <translation>没有带此标签的对话。</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>设置</translation>
    </message>
</context>
<context>
    <name>SpellMarks</name>
    <message>
        <source>No suggestions</source>
        <translation>没有建议</translation>
    </message>
    <message>
        <source>Add to dictionary</source>
        <translation>添加到词典</translation>
    </message>
    <message>
        <source>Ignore</source>
        <translation>忽略</translation>
    </message>
    <message>
        <source>Remove from dictionary</source>
        <translation>从词典中移除</translation>
    </message>
    <message>
        <source>Check spelling</source>
        <translation>拼写检查</translation>
    </message>
</context>
<context>
    <name>StageBox</name>
    <message>
        <source>Step {number}: {name}</source>
        <translation>第 {number} 步：{name}</translation>
    </message>
</context>
<context>
    <name>StopPage</name>
    <message>
        <source>Stop: why it ends, and what is kept</source>
        <translation>停止：为什么结束，保留什么</translation>
    </message>
    <message>
        <source>The model ends its answer by a token of its own that means “end of turn”. Otherwise a stop string, the longest answer allowed, a full context or you end it. The answer becomes part of the conversation, so the next turn begins with all of this text again, but its KV cache is still there and only the new message has to be read.</source>
        <translation>模型用一个表示“本轮结束”的专用词元结束回答。否则由停止字符串、允许的最长回答、上下文已满或你来结束。回答成为对话的一部分，所以下一轮又从这全部文本开始，但 KV 缓存还在，只需读取新消息。</translation>
    </message>
    <message>
        <source>How it ended</source>
        <translation>如何结束</translation>
    </message>
    <message>
        <source>End token</source>
        <translation>结束词元</translation>
    </message>
    <message>
        <source>Stop string</source>
        <translation>停止字符串</translation>
    </message>
    <message>
        <source>Tokens that end an answer</source>
        <translation>结束回答的词元</translation>
    </message>
    <message>
        <source>Context now</source>
        <translation>现在的上下文</translation>
    </message>
    <message>
        <source>KV cache kept</source>
        <translation>保留的 KV 缓存</translation>
    </message>
    <message>
        <source>{name}, id {id}</source>
        <translation>{name}，编号 {id}</translation>
    </message>
    <message>
        <source>{held} of {limit} tokens</source>
        <translation>{held} / {limit} 词元</translation>
    </message>
    <message>
        <source>{held} tokens</source>
        <translation>{held} 词元</translation>
    </message>
</context>
<context>
    <name>StudyChoices</name>
    <message>
        <source>Prompts, in tokens</source>
        <translation>提示词长度（词元）</translation>
    </message>
    <message>
        <source>64, 128, 256 … as far as it fits</source>
        <translation>64, 128, 256 … 直到放不下</translation>
    </message>
    <message>
        <source>Ways to read them</source>
        <translation>读取方式</translation>
    </message>
    <message>
        <source>Type at most {most} numbers of tokens from 2 on.</source>
        <translation>请输入最多 {most} 个词元数，从 2 起。</translation>
    </message>
    <message>
        <source>Choose at least one way.</source>
        <translation>请至少选择一种方式。</translation>
    </message>
    <message>
        <source>None of these prompts fits into the memory there is.</source>
        <translation>现有内存放不下其中任何一个提示词。</translation>
    </message>
    <message>
        <source>Up to {tokens} tokens. It takes about {time} and up to {need} of {all}.</source>
        <translation>最多 {tokens} 词元。约需 {time}，最多占用 {all} 中的 {need}。</translation>
    </message>
    <message>
        <source>{way}: as far as {tokens} tokens.</source>
        <translation>{way}：到 {tokens} 词元为止。</translation>
    </message>
</context>
<context>
    <name>StudyDialog</name>
    <message>
        <source>Memory study</source>
        <translation>内存研究</translation>
    </message>
    <message>
        <source>Progress of the study</source>
        <translation>研究的进度</translation>
    </message>
    <message>
        <source>Start</source>
        <translation>开始</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Go on with the study that is shown</source>
        <translation>继续当前显示的研究</translation>
    </message>
    <message>
        <source>Open study…</source>
        <translation>打开研究…</translation>
    </message>
    <message>
        <source>Memory against context</source>
        <translation>内存与上下文</translation>
    </message>
    <message>
        <source>Time to the first token</source>
        <translation>首个词元的时间</translation>
    </message>
    <message>
        <source>Speed of the answer</source>
        <translation>回答的速度</translation>
    </message>
    <message>
        <source>Memory, times, table</source>
        <translation>内存、时间、表格</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>内存</translation>
    </message>
    <message>
        <source>First token</source>
        <translation>首个词元</translation>
    </message>
    <message>
        <source>Speed</source>
        <translation>速度</translation>
    </message>
    <message>
        <source>Table</source>
        <translation>表格</translation>
    </message>
    <message>
        <source>Across</source>
        <translation>横轴</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>Characters</source>
        <translation>字符</translation>
    </message>
    <message>
        <source>Copy image</source>
        <translation>复制图片</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>保存…</translation>
    </message>
    <message>
        <source>As a picture (PNG, SVG), or its numbers (CSV)</source>
        <translation>保存为图片（PNG、SVG）或数据（CSV）</translation>
    </message>
    <message>
        <source>Looking at how quick the model is…</source>
        <translation>正在了解模型的速度…</translation>
    </message>
    <message>
        <source>Stopping…</source>
        <translation>正在停止…</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>Start a new one</source>
        <translation>开始新的研究</translation>
    </message>
    <message numerus="yes">
        <source>Stopped. %Ln prompts are left.</source>
        <translation>
            <numerusform>已停止。还剩 %Ln 个提示词。</numerusform>
        </translation>
    </message>
    <message>
        <source>Getting ready…</source>
        <translation>正在准备…</translation>
    </message>
    <message>
        <source>{way}, {tokens} tokens ({number} of {all})</source>
        <translation>{way}，{tokens} 词元（{number} / {all}）</translation>
    </message>
    <message>
        <source>About {time} left</source>
        <translation>约剩 {time}</translation>
    </message>
    <message>
        <source>All ways wrote the same answers.</source>
        <translation>所有方式写出的回答相同。</translation>
    </message>
    <message>
        <source>The ways did not write the same answers: rounding tipped a choice.</source>
        <translation>各种方式写出的回答不同：舍入改变了某次选择。</translation>
    </message>
    <message>
        <source>Copy table</source>
        <translation>复制表格</translation>
    </message>
    <message>
        <source>The table is on the clipboard.</source>
        <translation>表格已复制到剪贴板。</translation>
    </message>
    <message>
        <source>The picture is on the clipboard.</source>
        <translation>图片已复制到剪贴板。</translation>
    </message>
    <message>
        <source>Saved “{name}”</source>
        <translation>已保存“{name}”</translation>
    </message>
    <message>
        <source>Stop the study?</source>
        <translation>停止研究？</translation>
    </message>
    <message>
        <source>What was measured so far is kept. The study can be resumed later.</source>
        <translation>已测量的内容会保留，之后可以继续研究。</translation>
    </message>
    <message>
        <source>Stop and close</source>
        <translation>停止并关闭</translation>
    </message>
</context>
<context>
    <name>StudyModel</name>
    <message>
        <source>Way</source>
        <translation>方式</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>Characters</source>
        <translation>字符</translation>
    </message>
    <message>
        <source>Read</source>
        <translation>读取</translation>
    </message>
    <message>
        <source>Peak</source>
        <translation>峰值</translation>
    </message>
    <message>
        <source>Planned</source>
        <translation>计划值</translation>
    </message>
    <message>
        <source>After</source>
        <translation>之后</translation>
    </message>
    <message>
        <source>Kept</source>
        <translation>保留</translation>
    </message>
    <message>
        <source>Prefill</source>
        <translation>预填充</translation>
    </message>
    <message>
        <source>First token</source>
        <translation>首个词元</translation>
    </message>
    <message>
        <source>Writing</source>
        <translation>写出</translation>
    </message>
</context>
<context>
    <name>StudyTable</name>
    <message>
        <source>Measured prompts</source>
        <translation>测量过的提示词</translation>
    </message>
</context>
<context>
    <name>Studying</name>
    <message>
        <source>Open a memory study</source>
        <translation>打开内存研究</translation>
    </message>
    <message>
        <source>Memory studies (*.csv)</source>
        <translation>内存研究 (*.csv)</translation>
    </message>
</context>
<context>
    <name>TableBlock</name>
    <message>
        <source>Table</source>
        <translation>表格</translation>
    </message>
</context>
<context>
    <name>TagMenu</name>
    <message>
        <source>Tags</source>
        <translation>标签</translation>
    </message>
    <message>
        <source>New tag…</source>
        <translation>新建标签…</translation>
    </message>
</context>
<context>
    <name>TextView</name>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Copied</source>
        <translation>已复制</translation>
    </message>
</context>
<context>
    <name>Timeline</name>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Copy as Markdown</source>
        <translation>复制为 Markdown</translation>
    </message>
    <message>
        <source>Copy link address</source>
        <translation>复制链接地址</translation>
    </message>
    <message>
        <source>Undo delete</source>
        <translation>撤销删除</translation>
    </message>
    <message>
        <source>Select all</source>
        <translation>全选</translation>
    </message>
    <message>
        <source>Copy chat as Markdown</source>
        <translation>复制对话为 Markdown</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>导出…</translation>
    </message>
</context>
<context>
    <name>Toast</name>
    <message>
        <source>Undo</source>
        <translation>撤销</translation>
    </message>
    <message>
        <source>What to do</source>
        <translation>怎么办</translation>
    </message>
    <message>
        <source>Close notice</source>
        <translation>关闭通知</translation>
    </message>
</context>
<context>
    <name>TokenText</name>
    <message>
        <source>Control token {text}</source>
        <translation>控制词元 {text}</translation>
    </message>
    <message>
        <source>Part {part} of {parts} of “{text}”</source>
        <translation>“{text}”的第 {part} / {parts} 部分</translation>
    </message>
    <message>
        <source>Plain text that reads like a control token</source>
        <translation>看起来像控制词元的普通文本</translation>
    </message>
    <message>
        <source>Token {number}, id {id}</source>
        <translation>词元 {number}，编号 {id}</translation>
    </message>
    <message>
        <source>Bytes {bytes}</source>
        <translation>字节 {bytes}</translation>
    </message>
</context>
<context>
    <name>TokenisePage</name>
    <message>
        <source>Tokenise: text becomes numbers</source>
        <translation>分词：文本变成数字</translation>
    </message>
    <message>
        <source>The tokenizer cuts the text into pieces of its vocabulary, and each piece is a number. Common words are one token, rare ones several. These numbers are all that the model is given; lengths, limits and speeds are counted in them.</source>
        <translation>分词器把文本切成词表中的片段，每个片段是一个数字。常用词是一个词元，少见的词是几个。模型得到的只有这些数字；长度、上限和速度都按它们计算。</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>Characters</source>
        <translation>字符</translation>
    </message>
    <message>
        <source>Characters per token</source>
        <translation>每个词元的字符数</translation>
    </message>
    <message>
        <source>Control tokens</source>
        <translation>控制词元</translation>
    </message>
    <message>
        <source>about {count}</source>
        <translation>约 {count}</translation>
    </message>
</context>
<context>
    <name>TurnSteps</name>
    <message>
        <source>How a turn works</source>
        <translation>一轮是怎样进行的</translation>
    </message>
    <message>
        <source>Assemble</source>
        <translation>拼装</translation>
    </message>
    <message>
        <source>Tokenise</source>
        <translation>分词</translation>
    </message>
    <message>
        <source>Prefill</source>
        <translation>预填充</translation>
    </message>
    <message>
        <source>Decode</source>
        <translation>解码</translation>
    </message>
    <message>
        <source>Stop</source>
        <translation>停止</translation>
    </message>
    <message>
        <source>again for each token</source>
        <translation>对每个词元重复</translation>
    </message>
    <message>
        <source>the KV cache stays for the next turn</source>
        <translation>KV 缓存留给下一轮</translation>
    </message>
    <message>
        <source>Back</source>
        <translation>上一步</translation>
    </message>
    <message>
        <source>Next</source>
        <translation>下一步</translation>
    </message>
    <message>
        <source>There is no answer yet: ask something, and its values stand here.</source>
        <translation>还没有回答：提一个问题，这里就会显示它的数值。</translation>
    </message>
    <message>
        <source>Step {number} of {count}</source>
        <translation>第 {number} 步，共 {count} 步</translation>
    </message>
</context>
<context>
    <name>UnsavedDialog</name>
    <message>
        <source>Not everything is on disk</source>
        <translation>并非所有内容都已写入磁盘</translation>
    </message>
    <message>
        <source>What is not on disk is lost when the application quits.</source>
        <translation>尚未写入磁盘的内容会在应用退出时丢失。</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>Save to a file…</source>
        <translation>保存到文件…</translation>
    </message>
    <message>
        <source>Quit anyway</source>
        <translation>仍要退出</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>All changes are on disk now.</source>
        <translation>现在所有更改都已写入磁盘。</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>退出</translation>
    </message>
    <message>
        <source>Tried again: the disk still refuses.</source>
        <translation>已重试：磁盘仍然拒绝写入。</translation>
    </message>
    <message>
        <source>Saved to {file}: the chats that are shown or being answered, and all that was typed. You can quit now.</source>
        <translation>已保存到 {file}：正在显示或正在回答的对话，以及输入的全部内容。现在可以退出了。</translation>
    </message>
</context>
<context>
    <name>UserCard</name>
    <message>
        <source>You</source>
        <translation>你</translation>
    </message>
    <message>
        <source>Edit</source>
        <translation>编辑</translation>
    </message>
    <message>
        <source>Edit message</source>
        <translation>编辑消息</translation>
    </message>
    <message>
        <source>Copy message</source>
        <translation>复制消息</translation>
    </message>
    <message numerus="yes">
        <source>found, %1 of %Ln</source>
        <translation>
            <numerusform>找到，第 %1 处，共 %Ln 处</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>found %Ln times</source>
        <translation>
            <numerusform>找到 %Ln 处</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln characters</source>
        <translation>
            <numerusform>%Ln 个字符</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>VersionSwitch</name>
    <message>
        <source>Previous version</source>
        <translation>上一版本</translation>
    </message>
    <message>
        <source>Next version</source>
        <translation>下一版本</translation>
    </message>
    <message>
        <source>Version %1 of %2</source>
        <translation>第 %1 个版本，共 %2 个</translation>
    </message>
</context>
<context>
    <name>WholeProfile</name>
    <message>
        <source>Save the whole profile…</source>
        <translation>保存整个配置文件夹…</translation>
    </message>
    <message>
        <source>Restore a profile…</source>
        <translation>恢复配置文件夹…</translation>
    </message>
    <message>
        <source>Qwen Desktop profile</source>
        <translation>Qwen Desktop 配置文件夹</translation>
    </message>
    <message>
        <source>Save the whole profile</source>
        <translation>保存整个配置文件夹</translation>
    </message>
    <message>
        <source>Restore a profile</source>
        <translation>恢复配置文件夹</translation>
    </message>
    <message>
        <source>Saving the profile…</source>
        <translation>正在保存配置文件夹…</translation>
    </message>
    <message>
        <source>Saved “{name}”</source>
        <translation>已保存“{name}”</translation>
    </message>
    <message>
        <source>Show in folder</source>
        <translation>在文件夹中显示</translation>
    </message>
    <message>
        <source>The profile is replaced at the next start</source>
        <translation>配置文件夹将在下次启动时替换</translation>
    </message>
    <message>
        <source>Quit now</source>
        <translation>立即退出</translation>
    </message>
</context>
<context>
    <name>_Counts</name>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln 个词元</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>_Files</name>
    <message>
        <source>Left out: {reason}</source>
        <translation>不获取：{reason}</translation>
    </message>
    <message>
        <source>Is fetched</source>
        <translation>将获取</translation>
    </message>
    <message>
        <source>Goes on where it stopped</source>
        <translation>从中断处继续</translation>
    </message>
    <message>
        <source>Is here, is compared</source>
        <translation>已有，将比较</translation>
    </message>
    <message>
        <source>Is here</source>
        <translation>已有</translation>
    </message>
    <message>
        <source>Is replaced</source>
        <translation>将替换</translation>
    </message>
    <message>
        <source>File</source>
        <translation>文件</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>大小</translation>
    </message>
    <message>
        <source>What becomes of it</source>
        <translation>处理方式</translation>
    </message>
</context>
<context>
    <name>_Question</name>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
</context>
<context>
    <name>actions</name>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>Show or hide the chat list</source>
        <translation>显示或隐藏对话列表</translation>
    </message>
    <message>
        <source>Open checkpoint folder</source>
        <translation>打开检查点文件夹</translation>
    </message>
    <message>
        <source>Model card</source>
        <translation>模型卡片</translation>
    </message>
    <message>
        <source>Go to the message field</source>
        <translation>转到消息框</translation>
    </message>
    <message>
        <source>Answer again</source>
        <translation>重新回答</translation>
    </message>
    <message>
        <source>Edit the last message</source>
        <translation>编辑最后一条消息</translation>
    </message>
    <message>
        <source>Thinking on or off</source>
        <translation>开启或关闭思考</translation>
    </message>
    <message>
        <source>Chat settings</source>
        <translation>对话设置</translation>
    </message>
    <message>
        <source>Chat used before</source>
        <translation>上一个使用的对话</translation>
    </message>
    <message>
        <source>Chat used longest ago</source>
        <translation>最久未使用的对话</translation>
    </message>
    <message>
        <source>Stop the answer</source>
        <translation>停止回答</translation>
    </message>
    <message>
        <source>Search chats</source>
        <translation>搜索对话</translation>
    </message>
    <message>
        <source>Find in this chat</source>
        <translation>在此对话中查找</translation>
    </message>
    <message>
        <source>Next search hit</source>
        <translation>下一个搜索结果</translation>
    </message>
    <message>
        <source>Previous search hit</source>
        <translation>上一个搜索结果</translation>
    </message>
    <message>
        <source>Undo delete, archive or move</source>
        <translation>撤销删除、归档或移动</translation>
    </message>
    <message>
        <source>Select several</source>
        <translation>选择多个</translation>
    </message>
    <message>
        <source>Select all</source>
        <translation>全选</translation>
    </message>
    <message>
        <source>Show or hide the memory panel</source>
        <translation>显示或隐藏内存面板</translation>
    </message>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Search</source>
        <translation>搜索</translation>
    </message>
    <message>
        <source>View</source>
        <translation>视图</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Tools</source>
        <translation>工具</translation>
    </message>
    <message>
        <source>Import, export, backups</source>
        <translation>导入、导出、备份</translation>
    </message>
    <message>
        <source>Help</source>
        <translation>帮助</translation>
    </message>
    <message>
        <source>Program</source>
        <translation>程序</translation>
    </message>
    <message>
        <source>Hold Ctrl and press Tab again to go further back in the order of use.</source>
        <translation>按住 Ctrl 再按 Tab，可按使用顺序继续往前。</translation>
    </message>
    <message>
        <source>Attach files</source>
        <translation>添加附件</translation>
    </message>
    <message>
        <source>Prompt library</source>
        <translation>提示词库</translation>
    </message>
    <message>
        <source>Larger</source>
        <translation>放大</translation>
    </message>
    <message>
        <source>Smaller</source>
        <translation>缩小</translation>
    </message>
    <message>
        <source>Usual size</source>
        <translation>原始大小</translation>
    </message>
    <message>
        <source>Models…</source>
        <translation>模型…</translation>
    </message>
    <message>
        <source>Checkpoints of this computer, what there is to download, and downloads.</source>
        <translation>这台电脑上的检查点、可下载的检查点与下载。</translation>
    </message>
    <message>
        <source>Get a checkpoint…</source>
        <translation>获取检查点…</translation>
    </message>
    <message>
        <source>Download one from Hugging Face or ModelScope. No hub is asked before.</source>
        <translation>从 Hugging Face 或 ModelScope 下载。在此之前不会询问任何模型站。</translation>
    </message>
    <message>
        <source>Downloads</source>
        <translation>下载</translation>
    </message>
    <message>
        <source>Hub access…</source>
        <translation>模型站访问…</translation>
    </message>
    <message>
        <source>Tokens for what a hub shows only to some.</source>
        <translation>用于访问模型站上受限内容的令牌。</translation>
    </message>
    <message>
        <source>Memory and context…</source>
        <translation>内存与上下文…</translation>
    </message>
    <message>
        <source>What this chat has taken as it grew: memory, and how fast it was.</source>
        <translation>此对话增长时的占用：内存，以及速度。</translation>
    </message>
    <message>
        <source>Memory study…</source>
        <translation>内存研究…</translation>
    </message>
    <message>
        <source>Measure what prompts of growing length take, in three ways.</source>
        <translation>用三种方式测量越来越长的提示词的占用。</translation>
    </message>
    <message>
        <source>Connections…</source>
        <translation>连接…</translation>
    </message>
    <message>
        <source>Servers that may answer chats in place of the checkpoint here.</source>
        <translation>可以代替本机检查点回答对话的服务器。</translation>
    </message>
    <message>
        <source>Local server…</source>
        <translation>本地服务器…</translation>
    </message>
    <message>
        <source>Let other programs of this computer ask the open model.</source>
        <translation>让这台电脑上的其他程序询问已打开的模型。</translation>
    </message>
    <message>
        <source>Inspect prompt…</source>
        <translation>查看提示词…</translation>
    </message>
    <message>
        <source>What the model would be sent now, token by token.</source>
        <translation>现在会发给模型的内容，逐个词元。</translation>
    </message>
    <message>
        <source>How a turn works…</source>
        <translation>一轮是怎样进行的…</translation>
    </message>
    <message>
        <source>The newest answer step by step, with its real values.</source>
        <translation>最新的回答，逐步显示真实数值。</translation>
    </message>
    <message>
        <source>Open chat file…</source>
        <translation>打开对话文件…</translation>
    </message>
    <message>
        <source>Import chats…</source>
        <translation>导入对话…</translation>
    </message>
    <message>
        <source>Save chat as…</source>
        <translation>对话另存为…</translation>
    </message>
    <message>
        <source>Export…</source>
        <translation>导出…</translation>
    </message>
    <message>
        <source>Backups…</source>
        <translation>备份…</translation>
    </message>
    <message>
        <source>Diagnostics…</source>
        <translation>诊断信息…</translation>
    </message>
    <message>
        <source>Versions, devices, paths and the database: what helps to find a fault.</source>
        <translation>版本、设备、路径和数据库：有助于查找故障。</translation>
    </message>
    <message>
        <source>About Qwen Desktop…</source>
        <translation>关于 Qwen Desktop…</translation>
    </message>
    <message>
        <source>The version, licences, and a look for updates.</source>
        <translation>版本、许可证以及检查更新。</translation>
    </message>
    <message>
        <source>Command palette</source>
        <translation>命令面板</translation>
    </message>
    <message>
        <source>Settings</source>
        <translation>设置</translation>
    </message>
    <message>
        <source>Keyboard shortcuts</source>
        <translation>键盘快捷键</translation>
    </message>
    <message>
        <source>Main menu</source>
        <translation>主菜单</translation>
    </message>
    <message>
        <source>Quit</source>
        <translation>退出</translation>
    </message>
    <message>
        <source>Send message</source>
        <translation>发送消息</translation>
    </message>
    <message>
        <source>New line</source>
        <translation>换行</translation>
    </message>
    <message>
        <source>Paste long text as it is</source>
        <translation>原样粘贴长文本</translation>
    </message>
    <message>
        <source>Earlier messages, in an empty field</source>
        <translation>较早的消息（输入框为空时）</translation>
    </message>
    <message>
        <source>Next or previous message</source>
        <translation>下一条或上一条消息</translation>
    </message>
    <message>
        <source>Select text</source>
        <translation>选择文本</translation>
    </message>
    <message>
        <source>Select whole messages</source>
        <translation>选择整条消息</translation>
    </message>
    <message>
        <source>Undo delete</source>
        <translation>撤销删除</translation>
    </message>
    <message>
        <source>Open chat</source>
        <translation>打开对话</translation>
    </message>
    <message>
        <source>Rename chat</source>
        <translation>重命名对话</translation>
    </message>
    <message>
        <source>Delete chat</source>
        <translation>删除对话</translation>
    </message>
    <message>
        <source>Undo the last change of the list</source>
        <translation>撤销列表的上一次更改</translation>
    </message>
    <message>
        <source>Chat menu</source>
        <translation>对话菜单</translation>
    </message>
</context>
<context>
    <name>catalogue</name>
    <message>
        <source>Chat</source>
        <translation>对话</translation>
    </message>
    <message>
        <source>Code</source>
        <translation>代码</translation>
    </message>
    <message>
        <source>Mathematics</source>
        <translation>数学</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>思考</translation>
    </message>
    <message>
        <source>{all}, {active} per token</source>
        <translation>{all}，每词元 {active}</translation>
    </message>
    <message>
        <source>≈ {size}</source>
        <translation>≈ {size}</translation>
    </message>
    <message>
        <source>{need} of memory with a context of {context}; on: {where}</source>
        <translation>上下文 {context} 时需要内存 {need}；运行于：{where}</translation>
    </message>
    <message>
        <source>{need} of memory needed with a short context</source>
        <translation>短上下文需要内存 {need}</translation>
    </message>
    <message>
        <source>up to {count}</source>
        <translation>至多 {count}</translation>
    </message>
    <message>
        <source>over {count}</source>
        <translation>超过 {count}</translation>
    </message>
    <message>
        <source>{first} to {last}</source>
        <translation>{first} 至 {last}</translation>
    </message>
    <message>
        <source>CPU</source>
        <translation>CPU</translation>
    </message>
    <message>
        <source>graphics card</source>
        <translation>显卡</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>For</source>
        <translation>用途</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>大小</translation>
    </message>
    <message>
        <source>Format</source>
        <translation>格式</translation>
    </message>
    <message>
        <source>Download</source>
        <translation>下载</translation>
    </message>
    <message>
        <source>Context</source>
        <translation>上下文</translation>
    </message>
    <message>
        <source>Fits, context</source>
        <translation>适合，上下文</translation>
    </message>
    <message>
        <source>Licence</source>
        <translation>许可证</translation>
    </message>
</context>
<context>
    <name>context_chart</name>
    <message>
        <source>Memory against context</source>
        <translation>内存与上下文</translation>
    </message>
    <message>
        <source>Tokens in the context</source>
        <translation>上下文中的词元</translation>
    </message>
    <message>
        <source>Characters in the context</source>
        <translation>上下文中的字符</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>内存</translation>
    </message>
    <message>
        <source>Peak</source>
        <translation>峰值</translation>
    </message>
    <message>
        <source>After the turn</source>
        <translation>一轮之后</translation>
    </message>
    <message>
        <source>Peak, predicted</source>
        <translation>峰值，预测</translation>
    </message>
    <message>
        <source>After the turn, predicted</source>
        <translation>一轮之后，预测</translation>
    </message>
    <message>
        <source>Peak, {model}</source>
        <translation>峰值，{model}</translation>
    </message>
    <message>
        <source>Memory limit</source>
        <translation>内存上限</translation>
    </message>
    <message>
        <source>Context limit</source>
        <translation>上下文上限</translation>
    </message>
    <message>
        <source>Turn {number}</source>
        <translation>第 {number} 轮</translation>
    </message>
    <message>
        <source>Nothing has been measured in this chat yet. Each answer adds a point.</source>
        <translation>此对话还没有测量值。每个回答会增加一个点。</translation>
    </message>
    <message>
        <source>Servers answered: what that took of their memory is not known here.</source>
        <translation>由服务器回答：其中占用了它们多少内存，这里无从知晓。</translation>
    </message>
    <message>
        <source>Each answer adds a point.</source>
        <translation>每个回答会增加一个点。</translation>
    </message>
    <message>
        <source>8-bit KV</source>
        <translation>8 位 KV</translation>
    </message>
    <message>
        <source>another model</source>
        <translation>另一个模型</translation>
    </message>
    <message>
        <source>Time to the first token</source>
        <translation>首个词元的时间</translation>
    </message>
    <message>
        <source>Reading the prompt</source>
        <translation>正在读取提示词</translation>
    </message>
    <message>
        <source>Writing the answer</source>
        <translation>写出回答</translation>
    </message>
</context>
<context>
    <name>downloads</name>
    <message>
        <source>{hours} h {minutes} min</source>
        <translation>{hours} 小时 {minutes} 分</translation>
    </message>
    <message>
        <source>{size}/s</source>
        <translation>{size}/秒</translation>
    </message>
    <message>
        <source>{time} left</source>
        <translation>剩余 {time}</translation>
    </message>
    <message>
        <source>{done} of {total}</source>
        <translation>{done}/{total}</translation>
    </message>
    <message>
        <source>Trying again in {time}.</source>
        <translation>{time}后重试。</translation>
    </message>
    <message>
        <source>Waits for its turn</source>
        <translation>等待中</translation>
    </message>
    <message>
        <source>Pausing…</source>
        <translation>正在暂停…</translation>
    </message>
    <message>
        <source>Paused</source>
        <translation>已暂停</translation>
    </message>
    <message>
        <source>Getting ready…</source>
        <translation>正在准备…</translation>
    </message>
    <message>
        <source>Comparing what came…</source>
        <translation>正在比较下载的内容…</translation>
    </message>
    <message>
        <source>All of it is here</source>
        <translation>已全部下载</translation>
    </message>
    <message>
        <source>All of it is here, but the folder does not open</source>
        <translation>已全部下载，但文件夹无法打开</translation>
    </message>
    <message>
        <source>waits</source>
        <translation>等待</translation>
    </message>
    <message>
        <source>is compared</source>
        <translation>正在比较</translation>
    </message>
    <message>
        <source>is fetched</source>
        <translation>正在获取</translation>
    </message>
    <message>
        <source>is here</source>
        <translation>已有</translation>
    </message>
    <message>
        <source>a program, never run</source>
        <translation>程序代码，绝不运行</translation>
    </message>
    <message>
        <source>weights that could run code</source>
        <translation>可能运行代码的权重</translation>
    </message>
    <message>
        <source>weights that are not read</source>
        <translation>不会读取的权重</translation>
    </message>
    <message>
        <source>not needed</source>
        <translation>不需要</translation>
    </message>
    <message>
        <source>a name that leads out of the folder</source>
        <translation>名称指向文件夹之外</translation>
    </message>
</context>
<context>
    <name>errors</name>
    <message>
        <source>The data folder {folder} cannot be made: {reason}.</source>
        <translation>无法创建数据文件夹 {folder}：{reason}。</translation>
    </message>
    <message>
        <source>Choose another with --profile DIR.</source>
        <translation>请用 --profile DIR 另选一个。</translation>
    </message>
    <message>
        <source>Qwen Desktop is already open with the data in {folder}.</source>
        <translation>Qwen Desktop 已经打开并在使用 {folder} 中的数据。</translation>
    </message>
    <message>
        <source>Go on there or close it, or start with another --profile DIR or --temporary.</source>
        <translation>请在那里继续使用或将其关闭，或用另一个 --profile DIR 或 --temporary 启动。</translation>
    </message>
    <message>
        <source>There is nothing to send.</source>
        <translation>没有可发送的内容。</translation>
    </message>
    <message>
        <source>Type a message first.</source>
        <translation>请先输入消息。</translation>
    </message>
    <message>
        <source>No checkpoint is open.</source>
        <translation>没有打开检查点。</translation>
    </message>
    <message>
        <source>Open a checkpoint folder first (Ctrl+O).</source>
        <translation>请先打开检查点文件夹（Ctrl+O）。</translation>
    </message>
    <message>
        <source>The checkpoint is still loading.</source>
        <translation>检查点仍在加载。</translation>
    </message>
    <message>
        <source>Your text stays here; send it when loading has ended.</source>
        <translation>输入的文字会保留；加载完成后再发送。</translation>
    </message>
    <message>
        <source>A memory study is under way.</source>
        <translation>正在进行内存研究。</translation>
    </message>
    <message>
        <source>Wait for it or stop it: Tools, Memory study.</source>
        <translation>请等待或停止它：工具，内存研究。</translation>
    </message>
    <message>
        <source>The connection that answers this chat is not there any more.</source>
        <translation>回答此对话的连接已不存在。</translation>
    </message>
    <message>
        <source>Choose who answers it at the name of the model above the chat.</source>
        <translation>请在对话上方的模型名称处选择由谁回答。</translation>
    </message>
    <message>
        <source>Only the last answer of a chat can be continued.</source>
        <translation>只能继续对话中的最后一个回答。</translation>
    </message>
    <message>
        <source>Regenerate this one, or ask for the rest.</source>
        <translation>请重新生成它，或请模型补充其余部分。</translation>
    </message>
    <message>
        <source>An answer is still being written in “{title}”.</source>
        <translation>“{title}”中还有回答正在生成。</translation>
    </message>
    <message>
        <source>Wait for it or stop it.</source>
        <translation>请等待它结束，或将其停止。</translation>
    </message>
    <message>
        <source>The folder {folder} is not there.</source>
        <translation>文件夹 {folder} 不存在。</translation>
    </message>
    <message>
        <source>Plug in its disk, or choose another folder.</source>
        <translation>请接上它所在的磁盘，或选择其他文件夹。</translation>
    </message>
    <message>
        <source>{file} is not a folder.</source>
        <translation>{file} 不是文件夹。</translation>
    </message>
    <message>
        <source>Choose the folder that holds config.json.</source>
        <translation>请选择包含 config.json 的文件夹。</translation>
    </message>
    <message>
        <source>{folder} is an adapter: it has no {file} of its own.</source>
        <translation>{folder} 是适配器：它自身没有 {file}。</translation>
    </message>
    <message>
        <source>Merge it into its base model and open the result.</source>
        <translation>请先将它合并到基础模型，再打开合并结果。</translation>
    </message>
    <message>
        <source>{folder} has no {file}, so it is not a checkpoint folder.</source>
        <translation>{folder} 中没有 {file}，因此不是检查点文件夹。</translation>
    </message>
    <message>
        <source>Choose the folder that holds config.json and the weights.</source>
        <translation>请选择包含 config.json 和权重的文件夹。</translation>
    </message>
    <message>
        <source>{file} has no model_type for transformers {version}.</source>
        <translation>{file} 中没有 transformers {version} 能识别的 model_type。</translation>
    </message>
    <message>
        <source>Download config.json again.</source>
        <translation>请重新下载 config.json。</translation>
    </message>
    <message>
        <source>Download {file} into the same folder.</source>
        <translation>请把 {file} 下载到同一个文件夹。</translation>
    </message>
    <message>
        <source>{file} describes a model that is no Qwen: {type}.</source>
        <translation>{file} 描述的模型不是 Qwen：{type}。</translation>
    </message>
    <message>
        <source>Open a folder with a Qwen checkpoint.</source>
        <translation>请打开包含 Qwen 检查点的文件夹。</translation>
    </message>
    <message>
        <source>{file} describes a model for images or sound ({type}): transformers {version} cannot run its text side alone.</source>
        <translation>{file} 描述的是图像或声音模型（{type}）：transformers {version} 无法单独运行它的文本部分。</translation>
    </message>
    <message>
        <source>Open a text model, such as Qwen3.</source>
        <translation>请打开文本模型，例如 Qwen3。</translation>
    </message>
    <message>
        <source>Type {type} in {file} cannot be run by this version.</source>
        <translation>本版本无法运行 {file} 中的类型 {type}。</translation>
    </message>
    <message>
        <source>Look for an update (transformers {version} is in use).</source>
        <translation>请查找更新（当前使用 transformers {version}）。</translation>
    </message>
    <message>
        <source>{folder} has no tokenizer: {file} is missing.</source>
        <translation>{folder} 中没有分词器：缺少 {file}。</translation>
    </message>
    <message>
        <source>There is nothing to answer: the message is empty.</source>
        <translation>没有可回答的内容：消息为空。</translation>
    </message>
    <message>
        <source>Write something first.</source>
        <translation>请先写点内容。</translation>
    </message>
    <message>
        <source>The prompt has {have} tokens; this model holds {limit}.</source>
        <translation>提示词有 {have} 个词元；此模型最多容纳 {limit} 个。</translation>
    </message>
    <message>
        <source>Shorten the message, or start a new chat.</source>
        <translation>请缩短消息，或新建对话。</translation>
    </message>
    <message>
        <source>The tokenizer has tokens that the weights do not know.</source>
        <translation>分词器中有权重不认识的词元。</translation>
    </message>
    <message>
        <source>{count} downloads in the folder are unfinished: {file}.</source>
        <translation>文件夹里有 {count} 个未完成的下载：{file}。</translation>
    </message>
    <message>
        <source>Let them finish. Delete them if the folder is complete.</source>
        <translation>请等它们完成；如果文件夹已经完整，就把它们删除。</translation>
    </message>
    <message>
        <source>The folder comes with code of its own ({file}).</source>
        <translation>文件夹自带代码（{file}）。</translation>
    </message>
    <message>
        <source>It is never run: this program has its own.</source>
        <translation>它绝不会被运行：本程序用自己的实现。</translation>
    </message>
    <message>
        <source>There is an adapter in the folder; it is not applied.</source>
        <translation>文件夹里有一个适配器；它不会被应用。</translation>
    </message>
    <message>
        <source>{count} weight files are not used, first {file}.</source>
        <translation>有 {count} 个权重文件没有用到，第一个是 {file}。</translation>
    </message>
    <message>
        <source>They only take space: {used} is read.</source>
        <translation>它们只占空间：读取的是 {used}。</translation>
    </message>
    <message>
        <source>{file} asks for a kernel of others: {kernel}.</source>
        <translation>{file} 要求使用外来的内核：{kernel}。</translation>
    </message>
    <message>
        <source>It is never fetched: torch&apos;s own is used.</source>
        <translation>它绝不会被下载：使用 torch 自己的内核。</translation>
    </message>
    <message>
        <source>{file} has {layers} layers; weights are there for {have}.</source>
        <translation>{file} 写明 {layers} 层，而权重只有 {have} 层的。</translation>
    </message>
    <message>
        <source>A base model without chat template: it completes text.</source>
        <translation>没有对话模板的基础模型：它续写文本。</translation>
    </message>
    <message>
        <source>To chat, open the Instruct or Chat version.</source>
        <translation>要对话，请打开 Instruct 或 Chat 版本。</translation>
    </message>
    <message>
        <source>The context is stretched ({method}) from {trained} to {length} tokens.</source>
        <translation>上下文被拉伸（{method}）：从 {trained} 到 {length} 个词元。</translation>
    </message>
    <message>
        <source>Short chats may be answered a little worse.</source>
        <translation>短对话的回答质量可能略有下降。</translation>
    </message>
    <message>
        <source>Beyond {trained} tokens it needs dual chunk attention, which is not here.</source>
        <translation>超过 {trained} 个词元时，此模型需要双块注意力，而这里没有。</translation>
    </message>
    <message>
        <source>Stay below that: longer ones may be answered badly.</source>
        <translation>请保持在此长度以内：更长的对话可能回答不佳。</translation>
    </message>
    <message>
        <source>The tokenizer has token {token}, the model {rows} rows.</source>
        <translation>分词器有编号 {token} 的词元，模型只有 {rows} 行。</translation>
    </message>
    <message>
        <source>Get tokenizer and weights of the same checkpoint.</source>
        <translation>请使用同一检查点的分词器和权重。</translation>
    </message>
    <message>
        <source>FP8 weights become BF16: {loaded} instead of {stored}.</source>
        <translation>FP8 权重会变成 BF16：{loaded}，而不是 {stored}。</translation>
    </message>
    <message>
        <source>Choose 8-bit or 4-bit where that is too much.</source>
        <translation>如果太大，请选择 8 位或 4 位。</translation>
    </message>
    <message>
        <source>{count} quantised matrices become 16-bit floats: {loaded} of memory.</source>
        <translation>{count} 个量化矩阵会变成 16 位浮点数：占用内存 {loaded}。</translation>
    </message>
    <message>
        <source>There is no kernel for codes of this kind or shape.</source>
        <translation>这种编码或形状没有对应的内核。</translation>
    </message>
    <message>
        <source>{card} is not used: torch and driver do not fit together.</source>
        <translation>没有使用 {card}：torch 与驱动程序不匹配。</translation>
    </message>
    <message>
        <source>Install the build of torch for this card and driver; see the README.</source>
        <translation>请安装适合该显卡和驱动程序的 torch 版本，见 README。</translation>
    </message>
    <message>
        <source>{card} has no bfloat16: float16 is used.</source>
        <translation>{card} 不支持 bfloat16：改用 float16。</translation>
    </message>
    <message>
        <source>If answers are nonsense, choose FP32.</source>
        <translation>如果回答不知所云，请选择 FP32。</translation>
    </message>
    <message>
        <source>It needs {need} on {device}; {free} are free now.</source>
        <translation>在 {device} 上需要 {need}；现在空闲 {free}。</translation>
    </message>
    <message>
        <source>Take a smaller model: not even 4-bit fits.</source>
        <translation>请换用更小的模型：即使 4 位精度也放不下。</translation>
    </message>
    <message>
        <source>Choose 8-bit or 4-bit, or close other programs.</source>
        <translation>请选择 8 位或 4 位，或关闭其他程序。</translation>
    </message>
    <message>
        <source>On the CPU, {parameters} parameters answer slowly.</source>
        <translation>在 CPU 上，{parameters} 参数的模型回答很慢。</translation>
    </message>
    <message>
        <source>4-bit reads prompts faster and takes a third of the room.</source>
        <translation>4 位精度读取提示词更快，占用约三分之一的内存。</translation>
    </message>
    <message>
        <source>A mixture: {active} of {all} parameters work per token.</source>
        <translation>混合专家模型：{all} 参数中每个词元使用 {active}。</translation>
    </message>
    <message>
        <source>Prompts use nearly all experts: they are read slower.</source>
        <translation>提示词会用到几乎全部专家，因此读取较慢。</translation>
    </message>
    <message>
        <source>The model computes values that are not numbers.</source>
        <translation>模型算出的不是数字。</translation>
    </message>
    <message>
        <source>Its weights may be damaged: download them again.</source>
        <translation>权重可能已损坏：请重新下载。</translation>
    </message>
    <message>
        <source>There is no device {device} on this machine.</source>
        <translation>这台电脑上没有设备 {device}。</translation>
    </message>
    <message>
        <source>Choose “auto”, or see the README about CUDA.</source>
        <translation>请选择“auto”，或查看 README 中关于 CUDA 的说明。</translation>
    </message>
    <message>
        <source>{reason} {closed} was closed to make room for it.</source>
        <translation>{reason}为腾出空间，已关闭 {closed}。</translation>
    </message>
    <message>
        <source>Open a checkpoint folder first.</source>
        <translation>请先打开检查点文件夹。</translation>
    </message>
    <message>
        <source>The local server has stopped.</source>
        <translation>本地服务器已停止。</translation>
    </message>
    <message>
        <source>The chat has {have} tokens; {budget} fit beside an answer.</source>
        <translation>对话有 {have} 词元；留出回答后可容纳 {budget}。</translation>
    </message>
    <message>
        <source>Choose what to leave out, or start a new chat.</source>
        <translation>请选择省略哪些内容，或新建对话。</translation>
    </message>
    <message>
        <source>The prompt has {have} tokens; the memory that is free now holds {limit}.</source>
        <translation>提示词有 {have} 个词元；现在的空闲内存可容纳 {limit} 个。</translation>
    </message>
    <message>
        <source>Close other programs, or open the checkpoint with an 8-bit KV cache.</source>
        <translation>请关闭其他程序，或以 8 位 KV 缓存打开检查点。</translation>
    </message>
    <message>
        <source>The checkpoint&apos;s chat template took all memory.</source>
        <translation>检查点的对话模板占满了内存。</translation>
    </message>
    <message>
        <source>The checkpoint&apos;s chat template does not end.</source>
        <translation>检查点的对话模板无法结束。</translation>
    </message>
    <message>
        <source>{file} cannot be read: {reason}.</source>
        <translation>无法读取 {file}：{reason}。</translation>
    </message>
    <message>
        <source>Check that the disk is there and that you may read it.</source>
        <translation>请检查磁盘是否已连接，以及你是否有读取权限。</translation>
    </message>
    <message>
        <source>{file} is only a Git LFS pointer, not the file itself.</source>
        <translation>{file} 只是 Git LFS 指针，不是文件本身。</translation>
    </message>
    <message>
        <source>Run “git lfs pull” in the folder, or download it again.</source>
        <translation>请在该文件夹中运行“git lfs pull”，或重新下载。</translation>
    </message>
    <message>
        <source>{file} is larger than any real one ({limit} MiB).</source>
        <translation>{file} 大得不正常（上限 {limit} MiB）。</translation>
    </message>
    <message>
        <source>Download the checkpoint again from its source.</source>
        <translation>请从来源重新下载检查点。</translation>
    </message>
    <message>
        <source>{file} is damaged: its content does not make sense.</source>
        <translation>{file} 已损坏：内容不合规范。</translation>
    </message>
    <message>
        <source>Download this file again.</source>
        <translation>请重新下载此文件。</translation>
    </message>
    <message>
        <source>{file} has weights of type {dtype}, which cannot be run.</source>
        <translation>{file} 中的权重类型为 {dtype}，无法运行。</translation>
    </message>
    <message>
        <source>Get the BF16 version of this checkpoint.</source>
        <translation>请使用此检查点的 BF16 版本。</translation>
    </message>
    <message>
        <source>The context of {model} cannot be stretched {factor} times.</source>
        <translation>{model} 的上下文不能拉伸到 {factor} 倍。</translation>
    </message>
    <message>
        <source>Open it with the context it has.</source>
        <translation>请以其原有的上下文打开。</translation>
    </message>
    <message>
        <source>{model} cannot keep its KV cache in 8 bits.</source>
        <translation>{model} 不能用 8 位保存 KV 缓存。</translation>
    </message>
    <message>
        <source>Open it with the KV cache as the model has it.</source>
        <translation>请以模型原有的 KV 缓存格式打开。</translation>
    </message>
    <message>
        <source>{file} does not describe a model that can be built.</source>
        <translation>{file} 描述的模型无法构建。</translation>
    </message>
    <message>
        <source>The weights cannot be matched with {file}: {reason}.</source>
        <translation>权重与 {file} 对不上：{reason}。</translation>
    </message>
    <message>
        <source>{count} weights have no place in {file}, first {tensor}.</source>
        <translation>{count} 个权重在 {file} 中没有对应位置，第一个是 {tensor}。</translation>
    </message>
    <message>
        <source>{count} weights are missing, first {tensor}.</source>
        <translation>缺少 {count} 个权重，第一个是 {tensor}。</translation>
    </message>
    <message>
        <source>Download the weights again; config.json asks for them.</source>
        <translation>config.json 需要这些权重，请重新下载。</translation>
    </message>
    <message>
        <source>The weight {tensor} does not have the shape in {file}.</source>
        <translation>权重 {tensor} 的形状与 {file} 中的不符。</translation>
    </message>
    <message>
        <source>Get config.json and weights of the same checkpoint.</source>
        <translation>请使用同一检查点的 config.json 和权重。</translation>
    </message>
    <message>
        <source>{model} needs {need} of memory; {free} are free on {device}.</source>
        <translation>{model} 需要 {need} 内存；{device} 上可用 {free}。</translation>
    </message>
    <message>
        <source>Close other programs, or take a smaller model or precision.</source>
        <translation>请关闭其他程序，或选用更小的模型或精度。</translation>
    </message>
    <message>
        <source>{file} is truncated: it has {have} of {want} bytes.</source>
        <translation>{file} 不完整：应有 {want} 字节，只有 {have} 字节。</translation>
    </message>
    <message>
        <source>{file} is empty.</source>
        <translation>{file} 是空文件。</translation>
    </message>
    <message>
        <source>{file} names a shard that is no plain file: {shard}.</source>
        <translation>{file} 列出的分片不是普通文件：{shard}。</translation>
    </message>
    <message>
        <source>Download the checkpoint from a source you trust.</source>
        <translation>请从可信的来源下载检查点。</translation>
    </message>
    <message>
        <source>{file} lacks the tensor {tensor} of the index.</source>
        <translation>{file} 中缺少索引列出的张量 {tensor}。</translation>
    </message>
    <message>
        <source>Download this file and the index again.</source>
        <translation>请重新下载此文件和索引。</translation>
    </message>
    <message>
        <source>{count} of {total} weight files are missing: {file}.</source>
        <translation>{total} 个权重文件中缺少 {count} 个：{file}。</translation>
    </message>
    <message>
        <source>Download the missing files into the same folder.</source>
        <translation>请将缺少的文件下载到同一文件夹。</translation>
    </message>
    <message>
        <source>{file} is a pickle, which can run code: refused.</source>
        <translation>{file} 是可能执行代码的 pickle 文件：已拒绝。</translation>
    </message>
    <message>
        <source>Get the safetensors version of this checkpoint.</source>
        <translation>请使用此检查点的 safetensors 版本。</translation>
    </message>
    <message>
        <source>{folder} has no weights: {file} is missing.</source>
        <translation>{folder} 中没有权重：缺少 {file}。</translation>
    </message>
    <message>
        <source>Download the .safetensors files into the same folder.</source>
        <translation>请将 .safetensors 文件下载到同一文件夹。</translation>
    </message>
    <message>
        <source>The checkpoint&apos;s chat template failed: {reason}.</source>
        <translation>检查点的对话模板出错：{reason}。</translation>
    </message>
    <message>
        <source>Download the tokenizer files again.</source>
        <translation>请重新下载分词器文件。</translation>
    </message>
    <message>
        <source>The tokenizer in {file} cannot be loaded.</source>
        <translation>无法加载 {file} 中的分词器。</translation>
    </message>
    <message>
        <source>Something went wrong inside Qwen Desktop: {summary}.</source>
        <translation>Qwen Desktop 内部出错：{summary}。</translation>
    </message>
    <message>
        <source>What you wrote is kept. Details has a report to copy.</source>
        <translation>你写的内容已保留。“详细信息”中有可复制的报告。</translation>
    </message>
    <message>
        <source>{file} was written by a newer Qwen Desktop: its chats can be read here, but not changed.</source>
        <translation>{file} 由更新版本的 Qwen Desktop 写入：其中的对话可以在这里阅读，但不能更改。</translation>
    </message>
    <message>
        <source>Another program is using {file}.</source>
        <translation>另一个程序正在使用 {file}。</translation>
    </message>
    <message>
        <source>Close that program and try again.</source>
        <translation>请关闭该程序后重试。</translation>
    </message>
    <message>
        <source>The disk failed while {file} was read or written.</source>
        <translation>读写 {file} 时磁盘出错。</translation>
    </message>
    <message>
        <source>Check the disk and its connection, then start the application again.</source>
        <translation>请检查磁盘及其连接，然后重新启动应用。</translation>
    </message>
    <message>
        <source>{file} is a database of another program.</source>
        <translation>{file} 是其他程序的数据库。</translation>
    </message>
    <message>
        <source>Install the newer version to go on with them.</source>
        <translation>请安装更新的版本以继续这些对话。</translation>
    </message>
    <message>
        <source>Move it to another place, or choose another folder with --profile.</source>
        <translation>请将它移到别处，或用 --profile 选择其他文件夹。</translation>
    </message>
    <message>
        <source>{file} is damaged.</source>
        <translation>{file} 已损坏。</translation>
    </message>
    <message>
        <source>Start the application again: it then opens a backup and recovers what can be read.</source>
        <translation>请重新启动应用：它会打开备份并恢复能读出的内容。</translation>
    </message>
    <message>
        <source>{file} is no profile of Qwen Desktop.</source>
        <translation>{file} 不是 Qwen Desktop 的配置文件夹。</translation>
    </message>
    <message>
        <source>{file} is damaged or was changed; nothing of it was used.</source>
        <translation>{file} 已损坏或被改动；没有使用其中任何内容。</translation>
    </message>
    <message>
        <source>Copy it again from where it was saved.</source>
        <translation>请从保存它的地方重新复制。</translation>
    </message>
    <message>
        <source>{file} was written by a newer Qwen Desktop: its format is {found}, and this version reads up to {newest}.</source>
        <translation>{file} 由更新版本的 Qwen Desktop 写入：其格式为 {found}，本版本最高支持 {newest}。</translation>
    </message>
    <message>
        <source>Install the newer version; the file was not changed.</source>
        <translation>请安装新版本；文件没有被改动。</translation>
    </message>
    <message>
        <source>The settings in {file} cannot be read.</source>
        <translation>无法读取 {file} 中的设置。</translation>
    </message>
    <message>
        <source>All settings have their first values for now.</source>
        <translation>所有设置暂时使用初始值。</translation>
    </message>
    <message>
        <source>The settings could not be read and start afresh.</source>
        <translation>设置无法读取，已恢复为初始值。</translation>
    </message>
    <message>
        <source>The old ones are kept in {file}.</source>
        <translation>旧设置保留在 {file} 中。</translation>
    </message>
    <message>
        <source>This chat is no longer there.</source>
        <translation>此对话已不存在。</translation>
    </message>
    <message>
        <source>It may have been deleted in another window.</source>
        <translation>它可能已在另一个窗口中被删除。</translation>
    </message>
    <message>
        <source>The disk is full: {file} could not be saved.</source>
        <translation>磁盘已满：无法保存 {file}。</translation>
    </message>
    <message>
        <source>Free some space and try again.</source>
        <translation>请释放一些空间后重试。</translation>
    </message>
    <message>
        <source>There is no chat to export.</source>
        <translation>没有可导出的对话。</translation>
    </message>
    <message>
        <source>{file} cannot be written.</source>
        <translation>无法写入 {file}。</translation>
    </message>
    <message>
        <source>Choose another place for it.</source>
        <translation>请为它选择另一个位置。</translation>
    </message>
    <message>
        <source>Allow writing to it and to its folder, or choose another folder with --profile.</source>
        <translation>请允许写入该文件及其文件夹，或用 --profile 选择其他文件夹。</translation>
    </message>
    <message>
        <source>{file} cannot be opened.</source>
        <translation>无法打开 {file}。</translation>
    </message>
    <message>
        <source>Check that its folder is a folder that can be written, or choose another one with --profile.</source>
        <translation>请确认它所在的位置是可写的文件夹，或用 --profile 另选一个。</translation>
    </message>
    <message>
        <source>{file} is damaged: {tensor} has impossible values.</source>
        <translation>{file} 已损坏：{tensor} 的值不可能存在。</translation>
    </message>
    <message>
        <source>Weights quantised this way cannot be read: {method}.</source>
        <translation>无法读取这样量化的权重：{method}。</translation>
    </message>
    <message>
        <source>Weights quantised with {method} run in no other way.</source>
        <translation>用 {method} 量化的权重无法以其他精度运行。</translation>
    </message>
    <message>
        <source>Choose the precision “auto”.</source>
        <translation>请选择精度“自动”。</translation>
    </message>
    <message>
        <source>The weights cannot be read with {method}.</source>
        <translation>无法用 {method} 读取权重。</translation>
    </message>
    <message>
        <source>Get the original or a GPTQ, AWQ or FP8 version of the model.</source>
        <translation>请换用原始模型，或它的 GPTQ、AWQ 或 FP8 版本。</translation>
    </message>
    <message>
        <source>Weights quantised with {method} need a package of that name.</source>
        <translation>用 {method} 量化的权重需要同名的软件包。</translation>
    </message>
    <message>
        <source>Install it: pip install &quot;qwen-desktop[{method}]&quot;</source>
        <translation>请安装它：pip install &quot;qwen-desktop[{method}]&quot;</translation>
    </message>
    <message>
        <source>This package of Qwen Desktop has none: get a GPTQ, AWQ or FP8 version of the model, or install Qwen Desktop by pip.</source>
        <translation>此 Qwen Desktop 安装包中没有：请获取该模型的 GPTQ、AWQ 或 FP8 版本，或用 pip 安装 Qwen Desktop。</translation>
    </message>
    <message>
        <source>{file} does not say how the weights were quantised.</source>
        <translation>{file} 没有说明权重是怎样量化的。</translation>
    </message>
    <message>
        <source>Download {file} again.</source>
        <translation>请重新下载 {file}。</translation>
    </message>
    <message>
        <source>{file} says that weights are quantised: none is.</source>
        <translation>{file} 说权重是量化的，但其中没有量化的权重。</translation>
    </message>
    <message>
        <source>The quantised weight {tensor} is incomplete: no {part}.</source>
        <translation>量化权重 {tensor} 不完整：缺少 {part}。</translation>
    </message>
    <message>
        <source>Download the weights again.</source>
        <translation>请重新下载权重。</translation>
    </message>
    <message>
        <source>The weight {tensor} is not quantised as said ({method}).</source>
        <translation>权重 {tensor} 并没有按所说的方式量化（{method}）。</translation>
    </message>
    <message>
        <source>{name} was not reopened: the last start ended while it was loading.</source>
        <translation>没有重新打开 {name}：上次启动在加载它时中断了。</translation>
    </message>
    <message>
        <source>Open it again, or choose another checkpoint.</source>
        <translation>请再次打开它，或选择其他检查点。</translation>
    </message>
    <message>
        <source>The graphics card is not used: torch and driver do not fit together.</source>
        <translation>未使用显卡：torch 与驱动不匹配。</translation>
    </message>
    <message>
        <source>The graphics card is not used: other programs have taken its memory.</source>
        <translation>未使用显卡：其他程序占用了显存。</translation>
    </message>
    <message>
        <source>The graphics card is not used: its memory is too small for this model.</source>
        <translation>未使用显卡：显存不足以容纳此模型。</translation>
    </message>
    <message>
        <source>The presets in {file} cannot be read.</source>
        <translation>无法读取 {file} 中的预设。</translation>
    </message>
    <message>
        <source>There are only the built-in ones for now.</source>
        <translation>目前只有内置预设。</translation>
    </message>
    <message>
        <source>The presets could not be read.</source>
        <translation>无法读取预设。</translation>
    </message>
    <message>
        <source>Shorten the chat, close other programs, or open it in another precision.</source>
        <translation>请缩短对话、关闭其他程序，或以其他精度打开。</translation>
    </message>
    <message>
        <source>Shorten the chat, or open it with an 8-bit KV cache or in another precision.</source>
        <translation>请缩短对话，或以 8 位 KV 缓存或其他精度打开。</translation>
    </message>
    <message>
        <source>Memory ran out: {tokens} tokens take {kv} of it; {free} are free now.</source>
        <translation>内存已用尽：{tokens} 个词元占用 {kv}；现在空闲 {free}。</translation>
    </message>
    <message>
        <source>The backup {file} is damaged.</source>
        <translation>备份 {file} 已损坏。</translation>
    </message>
    <message>
        <source>Choose another one; nothing was changed.</source>
        <translation>请选择另一份；没有更改任何内容。</translation>
    </message>
    <message>
        <source>This is not JSON, or only the beginning of it.</source>
        <translation>这不是 JSON，或者只是它的开头。</translation>
    </message>
    <message>
        <source>This is not a chat of Qwen Desktop.</source>
        <translation>这不是 Qwen Desktop 的对话。</translation>
    </message>
    <message>
        <source>This was written by a newer Qwen Desktop: its version is {found}, and this program reads up to {newest}.</source>
        <translation>它由更新版本的 Qwen Desktop 写成：其版本为 {found}，本程序最高可读 {newest}。</translation>
    </message>
    <message>
        <source>Install the newer version to read it.</source>
        <translation>请安装更新的版本来读取它。</translation>
    </message>
    <message>
        <source>{place} names no message of this file.</source>
        <translation>{place} 指的不是此文件中的消息。</translation>
    </message>
    <message>
        <source>{place} is no value of a setting.</source>
        <translation>{place} 不是设置的有效值。</translation>
    </message>
    <message>
        <source>{place} is the id of another message.</source>
        <translation>{place} 是另一条消息的标识。</translation>
    </message>
    <message>
        <source>{place} names no message that stands before it.</source>
        <translation>{place} 指的不是位于它之前的消息。</translation>
    </message>
    <message>
        <source>{place} is not the first and last of a stretch.</source>
        <translation>{place} 不是一段消息的首尾。</translation>
    </message>
    <message>
        <source>{place} is no stretch of the chat.</source>
        <translation>{place} 不是对话中的一段。</translation>
    </message>
    <message>
        <source>{place} names no message with a prompt that stands before it.</source>
        <translation>{place} 指的不是位于它之前且带提示词的消息。</translation>
    </message>
    <message>
        <source>Steps of tools kept as text: {count}.</source>
        <translation>作为文本保留的工具步骤：{count}。</translation>
    </message>
    <message>
        <source>Messages of an unknown kind kept as text: {count}.</source>
        <translation>作为文本保留的未知类型消息：{count}。</translation>
    </message>
    <message>
        <source>Messages that cannot be read, left out: {count}.</source>
        <translation>无法读取而略去的消息：{count}。</translation>
    </message>
    <message>
        <source>Hidden messages left out: {count}.</source>
        <translation>略去的隐藏消息：{count}。</translation>
    </message>
    <message>
        <source>Attachments left out ({count}): {names}.</source>
        <translation>略去的附件（{count}）：{names}。</translation>
    </message>
    <message>
        <source>There is no message in this chat.</source>
        <translation>此对话中没有消息。</translation>
    </message>
    <message>
        <source>{file} holds no chat that this program can read.</source>
        <translation>{file} 中没有本程序能读取的对话。</translation>
    </message>
    <message>
        <source>It reads chats of Qwen Desktop, ChatGPT, Open WebUI, LM Studio and Jan, and messages as OpenAI&apos;s API and ShareGPT write them.</source>
        <translation>可以读取 Qwen Desktop、ChatGPT、Open WebUI、LM Studio 和 Jan 的对话，以及 OpenAI API 和 ShareGPT 格式的消息。</translation>
    </message>
    <message>
        <source>This is no chat that this program can read.</source>
        <translation>这不是本程序能读取的对话。</translation>
    </message>
    <message>
        <source>{file} is a damaged archive, or one with a password.</source>
        <translation>{file} 是损坏的压缩包，或带有密码。</translation>
    </message>
    <message>
        <source>There are too many files in {folder}.</source>
        <translation>{folder} 中的文件太多。</translation>
    </message>
    <message>
        <source>Choose a folder further in.</source>
        <translation>请选择更里层的文件夹。</translation>
    </message>
    <message>
        <source>Its folder is left out: the file does not name it.</source>
        <translation>略去了它的文件夹：文件中没有给出名称。</translation>
    </message>
    <message>
        <source>The file may be damaged, or changed by another program.</source>
        <translation>文件可能已损坏，或被其他程序改动。</translation>
    </message>
    <message>
        <source>This is too long for one chat: over {limit} characters.</source>
        <translation>对一个对话来说太长了：超过 {limit} 个字符。</translation>
    </message>
    <message>
        <source>{place} is too long.</source>
        <translation>{place} 太长。</translation>
    </message>
    <message>
        <source>The file</source>
        <translation>文件</translation>
    </message>
    <message>
        <source>{place} is not an object.</source>
        <translation>{place} 不是对象。</translation>
    </message>
    <message>
        <source>{place} is missing.</source>
        <translation>缺少 {place}。</translation>
    </message>
    <message>
        <source>{place} is not a list.</source>
        <translation>{place} 不是列表。</translation>
    </message>
    <message>
        <source>{place} is not a list of {count} values.</source>
        <translation>{place} 不是含 {count} 个值的列表。</translation>
    </message>
    <message>
        <source>{place} is not text.</source>
        <translation>{place} 不是文本。</translation>
    </message>
    <message>
        <source>{place} is empty.</source>
        <translation>{place} 是空的。</translation>
    </message>
    <message>
        <source>{place} is neither true nor false.</source>
        <translation>{place} 既不是 true 也不是 false。</translation>
    </message>
    <message>
        <source>{place} is not a whole number.</source>
        <translation>{place} 不是整数。</translation>
    </message>
    <message>
        <source>{place} is not between {low} and {high}.</source>
        <translation>{place} 不在 {low} 与 {high} 之间。</translation>
    </message>
    <message>
        <source>{place} is not a number.</source>
        <translation>{place} 不是数字。</translation>
    </message>
    <message>
        <source>{place} is not a time that has a date.</source>
        <translation>{place} 不是有日期的时间。</translation>
    </message>
    <message>
        <source>{place} is {value}, which this version does not know.</source>
        <translation>{place} 的值为 {value}，此版本不认识它。</translation>
    </message>
    <message>
        <source>An answer is still being written here.</source>
        <translation>这里还在生成回答。</translation>
    </message>
    <message>
        <source>{file} is no text.</source>
        <translation>{file} 不是文本。</translation>
    </message>
    <message>
        <source>Text, code, Markdown, CSV, JSON, logs and PDF can be attached.</source>
        <translation>可以附加文本、代码、Markdown、CSV、JSON、日志和 PDF。</translation>
    </message>
    <message>
        <source>{file} has {have} characters; {most} can be attached.</source>
        <translation>{file} 有 {have} 个字符；最多可附加 {most} 个。</translation>
    </message>
    <message>
        <source>Attach a part of it.</source>
        <translation>请附加其中一部分。</translation>
    </message>
    <message>
        <source>{file} is not in UTF-8; it was read as {encoding}.</source>
        <translation>{file} 不是 UTF-8；已按 {encoding} 读取。</translation>
    </message>
    <message>
        <source>{file} has no text: its pages are pictures.</source>
        <translation>{file} 没有文本：它的页面是图片。</translation>
    </message>
    <message>
        <source>Run a text recognition (OCR) over it first.</source>
        <translation>请先对它进行文字识别（OCR）。</translation>
    </message>
    <message>
        <source>{file} is long: only its beginning is attached.</source>
        <translation>{file} 很长：只附加了开头部分。</translation>
    </message>
    <message>
        <source>{unread} of the {count} pages of {file} are damaged.</source>
        <translation>{file} 的 {count} 页中有 {unread} 页已损坏。</translation>
    </message>
    <message>
        <source>{empty} of the {count} pages of {file} have no text.</source>
        <translation>{file} 的 {count} 页中有 {empty} 页没有文本。</translation>
    </message>
    <message>
        <source>{file} takes too long to read.</source>
        <translation>读取 {file} 耗时太长。</translation>
    </message>
    <message>
        <source>Save its text as a file of its own, and attach that.</source>
        <translation>请把其中的文本另存为文件后再附加。</translation>
    </message>
    <message>
        <source>{file} is no file.</source>
        <translation>{file} 不是文件。</translation>
    </message>
    <message>
        <source>{file} has {have} MB; {most} MB can be attached.</source>
        <translation>{file} 有 {have} MB；最多可附加 {most} MB。</translation>
    </message>
    <message>
        <source>{file} is protected by a password.</source>
        <translation>{file} 受密码保护。</translation>
    </message>
    <message>
        <source>Save a copy without the password, and attach that.</source>
        <translation>请另存一份无密码的副本后再附加。</translation>
    </message>
    <message>
        <source>{file} is a damaged PDF.</source>
        <translation>{file} 是损坏的 PDF。</translation>
    </message>
    <message>
        <source>The prompt library in {file} cannot be read.</source>
        <translation>无法读取 {file} 中的提示词库。</translation>
    </message>
    <message>
        <source>The prompt library could not be read.</source>
        <translation>无法读取提示词库。</translation>
    </message>
    <message>
        <source>The old one is kept in {file}.</source>
        <translation>旧的保存在 {file}。</translation>
    </message>
    <message>
        <source>{file} holds no prompts.</source>
        <translation>{file} 中没有提示词。</translation>
    </message>
    <message>
        <source>A prompt file is a JSON list of names and texts.</source>
        <translation>提示词文件是由名称和文本组成的 JSON 列表。</translation>
    </message>
    <message>
        <source>Answer again from the start instead.</source>
        <translation>请改为从头重新回答。</translation>
    </message>
    <message>
        <source>This answer is still being written.</source>
        <translation>这个回答还在写。</translation>
    </message>
    <message>
        <source>The tokens of this answer were not kept.</source>
        <translation>没有保留这个回答的词元。</translation>
    </message>
    <message>
        <source>A server answers this chat: it begins every answer anew.</source>
        <translation>此对话由服务器回答：它每次都从头开始回答。</translation>
    </message>
    <message>
        <source>It is not known which checkpoint wrote this answer.</source>
        <translation>不知道是哪个检查点写的这个回答。</translation>
    </message>
    <message>
        <source>Another checkpoint wrote this answer: {name}.</source>
        <translation>这个回答由另一个检查点写成：{name}。</translation>
    </message>
    <message>
        <source>Open that checkpoint to go on from one of its tokens.</source>
        <translation>打开那个检查点，才能从其中某个词元继续。</translation>
    </message>
    <message>
        <source>Begin when loading has ended.</source>
        <translation>请等加载结束后再开始。</translation>
    </message>
    <message>
        <source>{file} holds a study of {model} that differs: {what}.</source>
        <translation>{file} 中是 {model} 的另一项研究，不同之处：{what}。</translation>
    </message>
    <message>
        <source>Take another file, or open what that study is of.</source>
        <translation>请换一个文件，或打开那项研究所用的检查点。</translation>
    </message>
    <message>
        <source>The tokens of this answer do not spell its text.</source>
        <translation>这个回答的词元与其文本不符。</translation>
    </message>
    <message>
        <source>The messages of this chat are missing: {field}.</source>
        <translation>缺少此对话的消息：{field}。</translation>
    </message>
    <message>
        <source>{file} holds no memory study.</source>
        <translation>{file} 中没有内存研究。</translation>
    </message>
    <message>
        <source>Choose a CSV file that a memory study has written.</source>
        <translation>请选择内存研究写出的 CSV 文件。</translation>
    </message>
    <message>
        <source>“{text}” does not name a repository.</source>
        <translation>“{text}”不是仓库名称。</translation>
    </message>
    <message>
        <source>Type a name such as Qwen/Qwen3-8B, or paste the address of its page on the hub.</source>
        <translation>请输入 Qwen/Qwen3-8B 这样的名称，或粘贴模型站页面的地址。</translation>
    </message>
    <message>
        <source>{draft} cannot guess for this model: its tokens differ.</source>
        <translation>{draft} 不能为此模型猜测：它的词元不同。</translation>
    </message>
    <message>
        <source>Choose a smaller model of the same series.</source>
        <translation>请选择同系列的较小模型。</translation>
    </message>
    <message>
        <source>{draft} is not smaller than the model it would guess for.</source>
        <translation>{draft} 并不比要为之猜测的模型小。</translation>
    </message>
    <message>
        <source>{draft} cannot take back what it has read, so it cannot guess.</source>
        <translation>{draft} 无法收回读过的内容，因此不能猜测。</translation>
    </message>
    <message>
        <source>{hub} does not take this token.</source>
        <translation>{hub} 不接受此令牌。</translation>
    </message>
    <message>
        <source>Make a new one on its page of access tokens.</source>
        <translation>请在其访问令牌页面新建一个。</translation>
    </message>
    <message>
        <source>The address of the proxy makes no sense.</source>
        <translation>代理地址无效。</translation>
    </message>
    <message>
        <source>Write it as http://host:port in Settings or in HTTPS_PROXY.</source>
        <translation>请在设置或 HTTPS_PROXY 中写成 http://主机:端口。</translation>
    </message>
    <message>
        <source>Another download into {folder} is at work.</source>
        <translation>另一个下载正在写入 {folder}。</translation>
    </message>
    <message>
        <source>Wait for it, or choose another folder.</source>
        <translation>请等待其完成，或选择另一个文件夹。</translation>
    </message>
    <message>
        <source>The download needs {needed} GB, and the disk of {folder} has {free} GB free.</source>
        <translation>下载需要 {needed} GB，而 {folder} 所在磁盘只剩 {free} GB。</translation>
    </message>
    <message>
        <source>Free some space, or choose a folder on another disk.</source>
        <translation>请腾出空间，或选择另一磁盘上的文件夹。</translation>
    </message>
    <message>
        <source>This system has no keyring that would keep the token.</source>
        <translation>本系统没有可以保存令牌的密钥环。</translation>
    </message>
    <message>
        <source>Set {variable} in the environment instead.</source>
        <translation>请改为设置环境变量 {variable}。</translation>
    </message>
    <message>
        <source>The address of {host} has a name or a password in it.</source>
        <translation>{host} 的地址中含有用户名或密码。</translation>
    </message>
    <message>
        <source>Leave them out: addresses are written into folders.</source>
        <translation>请去掉：地址会写入文件夹中。</translation>
    </message>
    <message>
        <source>“{address}” is not the address of a server.</source>
        <translation>“{address}”不是服务器地址。</translation>
    </message>
    <message>
        <source>Write it as https://name, for example that of a mirror.</source>
        <translation>请写成 https://名称，例如镜像的地址。</translation>
    </message>
    <message>
        <source>{folder} is not deleted from here: it is no plain folder.</source>
        <translation>不在这里删除 {folder}：它不是普通文件夹。</translation>
    </message>
    <message>
        <source>Delete it with the file manager, if you want that.</source>
        <translation>如果需要，请用文件管理器删除。</translation>
    </message>
    <message>
        <source>{folder} holds no checkpoint, so it is not deleted.</source>
        <translation>{folder} 中没有检查点，因此不删除。</translation>
    </message>
    <message>
        <source>{file} could not be deleted: {reason}.</source>
        <translation>无法删除 {file}：{reason}。</translation>
    </message>
    <message>
        <source>Close what uses it, and check that you may delete it.</source>
        <translation>请关闭使用它的程序，并确认你有权删除它。</translation>
    </message>
    <message>
        <source>The repository has a file that no folder may have: {file}.</source>
        <translation>仓库中有不允许出现在文件夹中的文件：{file}。</translation>
    </message>
    <message>
        <source>Try again later; what has come so far is kept.</source>
        <translation>请稍后重试；已下载的部分会保留。</translation>
    </message>
    <message>
        <source>{host} refuses access to {what}.</source>
        <translation>{host} 拒绝访问 {what}。</translation>
    </message>
    <message>
        <source>Accept its licence on its page, and use a token of an account that may read it.</source>
        <translation>请在其页面接受许可证，并使用有权读取的帐户的令牌。</translation>
    </message>
    <message>
        <source>Check the address of the connection.</source>
        <translation>请检查连接的地址。</translation>
    </message>
    <message>
        <source>Write it as http://host:port/v1.</source>
        <translation>请写成 http://主机:端口/v1。</translation>
    </message>
    <message>
        <source>{host} refuses access with this key.</source>
        <translation>{host} 拒绝使用此密钥访问。</translation>
    </message>
    <message>
        <source>Use the key of an account that may use this model.</source>
        <translation>请使用有权使用此模型的帐户的密钥。</translation>
    </message>
    <message>
        <source>The proxy wants a user name and a password.</source>
        <translation>代理要求用户名和密码。</translation>
    </message>
    <message>
        <source>Give them in its address: http://user:password@host:port</source>
        <translation>请写在地址中：http://用户名:密码@主机:端口</translation>
    </message>
    <message>
        <source>{host} sends on to another address.</source>
        <translation>{host} 重定向到另一个地址。</translation>
    </message>
    <message>
        <source>A chat goes only where you sent it: enter the other address instead.</source>
        <translation>对话只会发往你指定的地方：请改填另一个地址。</translation>
    </message>
    <message>
        <source>{host} has nothing to chat with at {address}.</source>
        <translation>{host} 的 {address} 处没有可对话的服务。</translation>
    </message>
    <message>
        <source>Most addresses end in /v1. Check it in Connections.</source>
        <translation>多数地址以 /v1 结尾。请在“连接”中检查。</translation>
    </message>
    <message>
        <source>{host} was asked too often and wants a pause.</source>
        <translation>{host} 被询问得过于频繁，要求暂停。</translation>
    </message>
    <message>
        <source>Try again later, or check the limits of your account.</source>
        <translation>请稍后重试，或检查帐户限额。</translation>
    </message>
    <message>
        <source>{host} refused the request (status {status}): {said}</source>
        <translation>{host} 拒绝了请求（状态 {status}）：{said}</translation>
    </message>
    <message>
        <source>Check the settings of this chat and the connection.</source>
        <translation>请检查此对话与连接的设置。</translation>
    </message>
    <message>
        <source>{host} has trouble of its own (status {status}): {said}</source>
        <translation>{host} 自身出现故障（状态 {status}）：{said}</translation>
    </message>
    <message>
        <source>{host} does not accept the key.</source>
        <translation>{host} 不接受此密钥。</translation>
    </message>
    <message>
        <source>{host} wants a key.</source>
        <translation>{host} 要求密钥。</translation>
    </message>
    <message>
        <source>Enter it in Tools, Connections.</source>
        <translation>请在“工具”→“连接”中输入。</translation>
    </message>
    <message>
        <source>{host} has no model {model}.</source>
        <translation>{host} 没有模型 {model}。</translation>
    </message>
    <message>
        <source>Choose another at the name of the model above the chat.</source>
        <translation>请在对话上方的模型名称处另选一个。</translation>
    </message>
    <message>
        <source>{host} has no model {model}. It has: {models}.</source>
        <translation>{host} 没有模型 {model}。它有：{models}。</translation>
    </message>
    <message>
        <source>The chat is longer than the context on {host}: {said}</source>
        <translation>对话超出了 {host} 上的上下文长度：{said}</translation>
    </message>
    <message>
        <source>Edit an earlier message, or start a new chat.</source>
        <translation>请编辑较早的消息，或开始新对话。</translation>
    </message>
    <message>
        <source>The chat has about {have} tokens; {budget} fit beside an answer.</source>
        <translation>对话约有 {have} 个词元；为回答留出空间后可容纳 {budget} 个。</translation>
    </message>
    <message>
        <source>A web page came in place of an answer of {host}.</source>
        <translation>收到的是网页，而不是 {host} 的回答。</translation>
    </message>
    <message>
        <source>Where the network wants a login, open a browser and log in. Otherwise check the address of the connection: most end in /v1.</source>
        <translation>如果网络要求登录，请打开浏览器登录；否则请检查连接的地址：多数以 /v1 结尾。</translation>
    </message>
    <message>
        <source>Check that its address is that of an OpenAI-compatible server.</source>
        <translation>请确认其地址是兼容 OpenAI 的服务器。</translation>
    </message>
    <message>
        <source>Check the network and the address of the connection.</source>
        <translation>请检查网络与连接的地址。</translation>
    </message>
    <message>
        <source>Check that the server runs, and the network to it.</source>
        <translation>请检查服务器是否运行，以及到它的网络。</translation>
    </message>
    <message>
        <source>Try again later, or use a token: it raises the limit.</source>
        <translation>请稍后重试，或使用令牌以提高限额。</translation>
    </message>
    <message>
        <source>{host} has trouble of its own (status {status}).</source>
        <translation>{host} 自身出现故障（状态 {status}）。</translation>
    </message>
    <message>
        <source>{host} answered with status {status} for {what}.</source>
        <translation>{host} 对 {what} 返回状态 {status}。</translation>
    </message>
    <message>
        <source>Check the address of the hub in Settings, or try another.</source>
        <translation>请检查设置中的模型站地址，或换一个。</translation>
    </message>
    <message>
        <source>{hub} does not accept the token for {what}.</source>
        <translation>{hub} 不接受用于 {what} 的令牌。</translation>
    </message>
    <message>
        <source>Make a new token on the hub&apos;s page and save that one.</source>
        <translation>请在模型站页面新建令牌并保存。</translation>
    </message>
    <message>
        <source>{what} is not there, or {hub} shows it to some accounts only.</source>
        <translation>{what} 不存在，或 {hub} 只对部分帐户开放。</translation>
    </message>
    <message>
        <source>Check the name. If it needs an account, accept its licence on its page and save a token ({variable}).</source>
        <translation>请检查名称。如果需要帐户，请在其页面接受许可证并保存令牌（{variable}）。</translation>
    </message>
    <message>
        <source>{host} has no {what}.</source>
        <translation>{host} 上没有 {what}。</translation>
    </message>
    <message>
        <source>Check the name, or look for it on the other hub.</source>
        <translation>请检查名称，或在另一个模型站查找。</translation>
    </message>
    <message>
        <source>{repository} has no revision {revision} on {host}.</source>
        <translation>{host} 上的 {repository} 没有版本 {revision}。</translation>
    </message>
    <message>
        <source>Leave the revision empty to get the newest one.</source>
        <translation>版本留空即可获取最新版本。</translation>
    </message>
    <message>
        <source>A web page came in place of the files of {host}.</source>
        <translation>收到的是网页，而不是 {host} 的文件。</translation>
    </message>
    <message>
        <source>Where the network wants a login, open a browser and log in. Otherwise check the address of the hub.</source>
        <translation>如果网络要求登录，请打开浏览器登录；否则请检查模型站地址。</translation>
    </message>
    <message>
        <source>The answer of {host} makes no sense.</source>
        <translation>{host} 的回答无法理解。</translation>
    </message>
    <message>
        <source>Check that its address in Settings is that of such a hub.</source>
        <translation>请确认设置中的地址是这样的模型站。</translation>
    </message>
    <message>
        <source>{host} sends every request on in a circle.</source>
        <translation>{host} 的请求循环重定向。</translation>
    </message>
    <message>
        <source>Check the address of the hub, or try another mirror.</source>
        <translation>请检查模型站地址，或换一个镜像。</translation>
    </message>
    <message>
        <source>{file} has {got} bytes on {host}, and {listed} by the hub&apos;s own list.</source>
        <translation>{host} 上的 {file} 有 {got} 字节，而模型站列表写的是 {listed}。</translation>
    </message>
    <message>
        <source>It may have changed just now. Look at the repository again.</source>
        <translation>可能刚刚更改过。请重新查询仓库。</translation>
    </message>
    <message>
        <source>{file} changed on {host} while it was downloaded.</source>
        <translation>下载期间 {host} 上的 {file} 发生了变化。</translation>
    </message>
    <message>
        <source>Look at the repository again and start anew.</source>
        <translation>请重新查询仓库并重新开始。</translation>
    </message>
    <message>
        <source>{file} came from {host} twice with bytes that differ from the hub&apos;s hash.</source>
        <translation>从 {host} 两次收到的 {file} 都与模型站的哈希值不符。</translation>
    </message>
    <message>
        <source>Something on the way changes it: a mirror, a proxy or a virus scanner. Try another.</source>
        <translation>途中有什么改动了它：镜像、代理或杀毒软件。请换一个。</translation>
    </message>
    <message>
        <source>The connection to {host} broke off.</source>
        <translation>与 {host} 的连接中断。</translation>
    </message>
    <message>
        <source>Nothing came from {host} for {seconds} seconds.</source>
        <translation>{host} 已有 {seconds} 秒没有发来任何内容。</translation>
    </message>
    <message>
        <source>Try again, or set a longer wait in Tools, Connections.</source>
        <translation>请重试，或在“工具”→“连接”中设置更长的等待时间。</translation>
    </message>
    <message>
        <source>The account on {host} has nothing left: {said}</source>
        <translation>{host} 上的账户已无余额：{said}</translation>
    </message>
    <message>
        <source>Look at its limits, or choose another server.</source>
        <translation>请查看其限额，或另选一台服务器。</translation>
    </message>
    <message>
        <source>{host} held back the rest of this answer by a filter.</source>
        <translation>{host} 的过滤器拦下了此回答的其余部分。</translation>
    </message>
    <message>
        <source>Ask in other words, or let another model answer.</source>
        <translation>请换一种说法，或让别的模型回答。</translation>
    </message>
    <message>
        <source>The model on {host} called a tool; a chat here has none.</source>
        <translation>{host} 上的模型调用了工具；这里的对话没有工具。</translation>
    </message>
    <message>
        <source>Regenerate the answer, or let another model answer.</source>
        <translation>请重新生成回答，或让别的模型回答。</translation>
    </message>
    <message>
        <source>An answer of a server cannot begin at one of its tokens.</source>
        <translation>服务器的回答不能从其中某个词元开始。</translation>
    </message>
    <message>
        <source>Regenerate it instead.</source>
        <translation>请改为重新生成。</translation>
    </message>
    <message>
        <source>{host} cannot go on with this answer.</source>
        <translation>{host} 无法续写此回答。</translation>
    </message>
    <message>
        <source>Regenerate it, or ask for the rest.</source>
        <translation>请重新生成，或请它写出其余部分。</translation>
    </message>
    <message>
        <source>Write it as http://host:port or socks5h://host:port in Settings or in HTTPS_PROXY.</source>
        <translation>请在设置或 HTTPS_PROXY 中写成 http://主机:端口 或 socks5h://主机:端口。</translation>
    </message>
    <message>
        <source>The certificate of {host} is not trusted.</source>
        <translation>{host} 的证书不受信任。</translation>
    </message>
    <message>
        <source>Add the certificate to the system&apos;s own, or check clock and address.</source>
        <translation>请把证书加入系统，或检查时钟与地址。</translation>
    </message>
    <message>
        <source>The proxy on the way to {host} does not take connections.</source>
        <translation>通往 {host} 的代理不接受连接。</translation>
    </message>
    <message>
        <source>Check the proxy in Settings, or HTTPS_PROXY.</source>
        <translation>请检查设置中的代理或 HTTPS_PROXY。</translation>
    </message>
    <message>
        <source>The proxy does not let this program through to {host}.</source>
        <translation>代理不允许本程序访问 {host}。</translation>
    </message>
    <message>
        <source>Check the proxy in Settings, or HTTPS_PROXY in the environment.</source>
        <translation>请检查设置中的代理，或环境变量 HTTPS_PROXY。</translation>
    </message>
    <message>
        <source>{host} could not be reached over a safe connection.</source>
        <translation>无法通过安全连接访问 {host}。</translation>
    </message>
    <message>
        <source>Check that its address is right, and https or http as the server wants.</source>
        <translation>请确认地址正确，并按服务器要求使用 https 或 http。</translation>
    </message>
    <message>
        <source>The name {host} could not be found.</source>
        <translation>找不到名称 {host}。</translation>
    </message>
    <message>
        <source>Check the connection to the internet and the address of the hub.</source>
        <translation>请检查网络连接与模型站地址。</translation>
    </message>
    <message>
        <source>{host} does not take connections.</source>
        <translation>{host} 不接受连接。</translation>
    </message>
    <message>
        <source>Start the server, or check the address.</source>
        <translation>请启动服务器，或检查地址。</translation>
    </message>
    <message>
        <source>{host} does not answer.</source>
        <translation>{host} 没有响应。</translation>
    </message>
    <message>
        <source>Check the connection to the internet, or try another mirror.</source>
        <translation>请检查网络连接，或换一个镜像。</translation>
    </message>
    <message>
        <source>There is no way to {host} from here.</source>
        <translation>无法从这里访问 {host}。</translation>
    </message>
    <message>
        <source>Check the connection to the internet.</source>
        <translation>请检查网络连接。</translation>
    </message>
    <message>
        <source>The certificate of {host} is not valid today.</source>
        <translation>{host} 的证书今天无效。</translation>
    </message>
    <message>
        <source>Check the date and the clock of this computer.</source>
        <translation>请检查这台电脑的日期和时钟。</translation>
    </message>
    <message>
        <source>The certificate of {host} cannot be trusted.</source>
        <translation>{host} 的证书不可信。</translation>
    </message>
    <message>
        <source>Somebody stands between: a login page, a company&apos;s proxy or a virus scanner. Its certificate has to be among those that this computer trusts.</source>
        <translation>中间有登录页面、公司代理或杀毒软件。其证书必须是这台电脑信任的。</translation>
    </message>
    <message>
        <source>The disk is full: {file} has no room.</source>
        <translation>磁盘已满：{file} 没有空间。</translation>
    </message>
    <message>
        <source>Free some space and go on; what has come is kept.</source>
        <translation>请腾出空间后继续；已下载的部分会保留。</translation>
    </message>
    <message>
        <source>{file} is too large for the file system of this disk.</source>
        <translation>{file} 对此磁盘的文件系统来说太大。</translation>
    </message>
    <message>
        <source>Choose a folder on a disk with NTFS, exFAT or ext4.</source>
        <translation>请选择 NTFS、exFAT 或 ext4 磁盘上的文件夹。</translation>
    </message>
    <message>
        <source>{file} cannot be written: {reason}.</source>
        <translation>无法写入 {file}：{reason}。</translation>
    </message>
    <message>
        <source>Choose a folder that you may write to, or mend the disk.</source>
        <translation>请选择你可以写入的文件夹，或修复磁盘。</translation>
    </message>
    <message>
        <source>{repository} has no config.json: it is no checkpoint.</source>
        <translation>{repository} 没有 config.json：它不是检查点。</translation>
    </message>
    <message>
        <source>Choose the repository of the model in safetensors form.</source>
        <translation>请选择该模型 safetensors 形式的仓库。</translation>
    </message>
    <message>
        <source>{repository} lacks {count} of its own weight files: {file}.</source>
        <translation>{repository} 缺少 {count} 个自己的权重文件：{file}。</translation>
    </message>
    <message>
        <source>Try the other hub or an earlier revision.</source>
        <translation>请试试另一个模型站或较早的版本。</translation>
    </message>
    <message>
        <source>{repository} is an adapter, not a whole model.</source>
        <translation>{repository} 是适配器，不是完整模型。</translation>
    </message>
    <message>
        <source>{repository} has GGUF files, but no safetensors.</source>
        <translation>{repository} 有 GGUF 文件，但没有 safetensors。</translation>
    </message>
    <message>
        <source>Choose the repository whose name does not end in GGUF.</source>
        <translation>请选择名称不以 GGUF 结尾的仓库。</translation>
    </message>
    <message>
        <source>{repository} has weights only as pickles (.bin), which can run code: safetensors are missing.</source>
        <translation>{repository} 只有 pickle 形式（.bin）的权重，可能运行代码：缺少 safetensors。</translation>
    </message>
    <message>
        <source>Look for a revision or a copy of it in safetensors form.</source>
        <translation>请查找它的 safetensors 版本或副本。</translation>
    </message>
    <message>
        <source>{repository} has no weights in safetensors form.</source>
        <translation>{repository} 没有 safetensors 形式的权重。</translation>
    </message>
    <message>
        <source>Choose another repository of this model.</source>
        <translation>请选择该模型的另一个仓库。</translation>
    </message>
    <message>
        <source>Port {port} is in use already, or not allowed.</source>
        <translation>端口 {port} 已被占用或不允许使用。</translation>
    </message>
    <message>
        <source>Take another port.</source>
        <translation>请换一个端口。</translation>
    </message>
    <message>
        <source>The server cannot listen at {host}, port {port}: {reason}.</source>
        <translation>服务器无法在 {host} 端口 {port} 上监听：{reason}。</translation>
    </message>
    <message>
        <source>Take another address, as 127.0.0.1.</source>
        <translation>请换一个地址，例如 127.0.0.1。</translation>
    </message>
    <message>
        <source>{host} is open to other machines: it needs a key.</source>
        <translation>{host} 对其他机器开放：需要密钥。</translation>
    </message>
    <message>
        <source>Add --generate-key, or --api-key-env NAME.</source>
        <translation>请添加 --generate-key 或 --api-key-env NAME。</translation>
    </message>
    <message>
        <source>The list of downloads could not be read.</source>
        <translation>无法读取下载列表。</translation>
    </message>
    <message>
        <source>What was fetched is still in its folders. The list is in {file}.</source>
        <translation>已获取的内容仍在各自的文件夹中。列表在 {file}。</translation>
    </message>
    <message>
        <source>The environment variable {name} holds no key.</source>
        <translation>环境变量 {name} 中没有密钥。</translation>
    </message>
    <message>
        <source>Set it first, to plain characters.</source>
        <translation>请先设置它，只用普通字符。</translation>
    </message>
    <message>
        <source>“{pair}” has no value.</source>
        <translation>“{pair}”没有值。</translation>
    </message>
    <message>
        <source>Say :conf name=value.</source>
        <translation>请输入 :conf 名称=值。</translation>
    </message>
    <message>
        <source>There is no setting “{name}”.</source>
        <translation>没有名为“{name}”的设置。</translation>
    </message>
    <message>
        <source>:conf lists them.</source>
        <translation>:conf 会列出全部设置。</translation>
    </message>
    <message>
        <source>{name} cannot be “{words}”: {help}</source>
        <translation>{name} 不能是“{words}”：{help}</translation>
    </message>
    <message>
        <source>Say on or off.</source>
        <translation>请输入 on 或 off。</translation>
    </message>
    <message>
        <source>Say one of {choices}.</source>
        <translation>请从 {choices} 中选一个。</translation>
    </message>
    <message>
        <source>Say a number from {low} to {high}.</source>
        <translation>请输入 {low} 到 {high} 之间的数。</translation>
    </message>
    <message>
        <source>Say a file that ends with {endings}.</source>
        <translation>请给出以 {endings} 结尾的文件。</translation>
    </message>
    <message>
        <source>Nothing was asked in this chat yet.</source>
        <translation>此对话中还没有提问。</translation>
    </message>
    <message>
        <source>All of the chat would be sent to {name} ({host}).</source>
        <translation>整个对话将发送到 {name}（{host}）。</translation>
    </message>
    <message>
        <source>Say --yes if it may.</source>
        <translation>若可以，请加上 --yes。</translation>
    </message>
    <message>
        <source>The connection that answers this chat is gone.</source>
        <translation>回答此对话的连接已不存在。</translation>
    </message>
    <message>
        <source>Say :server NAME, or :server off for a checkpoint.</source>
        <translation>请输入 :server 名称；若要使用检查点，请输入 :server off。</translation>
    </message>
    <message>
        <source>The prompt has {tokens} tokens; {budget} fit beside an answer.</source>
        <translation>提示词有 {tokens} 个词元；为回答留出空间后可容纳 {budget} 个。</translation>
    </message>
    <message>
        <source>Shorten it, or say :conf context_policy=drop_oldest.</source>
        <translation>请缩短，或输入 :conf context_policy=drop_oldest。</translation>
    </message>
    <message>
        <source>The request is not understood: {reason}.</source>
        <translation>无法理解请求：{reason}。</translation>
    </message>
    <message>
        <source>PDF needs the window&apos;s libraries: export it there.</source>
        <translation>PDF 需要窗口的库：请在窗口中导出。</translation>
    </message>
    <message>
        <source>Check the address of releases in Settings.</source>
        <translation>请检查设置中的发布地址。</translation>
    </message>
    <message>
        <source>{host} knows of no release.</source>
        <translation>{host} 上没有任何发布版本。</translation>
    </message>
    <message>
        <source>No address of releases is set.</source>
        <translation>没有设置发布地址。</translation>
    </message>
    <message>
        <source>Enter one in Settings, or look where you got Qwen Desktop from.</source>
        <translation>请在设置中填写，或到获取 Qwen Desktop 的地方查看。</translation>
    </message>
    <message>
        <source>The address of releases has to begin with https://.</source>
        <translation>发布地址必须以 https:// 开头。</translation>
    </message>
    <message>
        <source>Check the connection to the internet and the address of releases.</source>
        <translation>请检查网络连接和发布地址。</translation>
    </message>
    <message>
        <source>What {host} answers tells of no release.</source>
        <translation>{host} 的答复中没有发布版本的信息。</translation>
    </message>
    <message>
        <source>There is no such file: :attach lists them.</source>
        <translation>没有这个文件：:attach 会列出文件。</translation>
    </message>
    <message>
        <source>{name} does not say which models it has.</source>
        <translation>{name} 没有说明它有哪些模型。</translation>
    </message>
    <message>
        <source>Name one: --model NAME, or :server NAME MODEL.</source>
        <translation>请指定一个：--model 名称，或 :server 名称 模型。</translation>
    </message>
    <message>
        <source>What comes in on stdin is no text.</source>
        <translation>标准输入中的内容不是文本。</translation>
    </message>
    <message>
        <source>Several connections are called “{name}”.</source>
        <translation>有多个连接名为“{name}”。</translation>
    </message>
    <message>
        <source>Give them different names: Connections, in the window.</source>
        <translation>请在窗口的“连接”中为它们取不同的名称。</translation>
    </message>
    <message>
        <source>There is no connection “{name}”; there are: {known}.</source>
        <translation>没有名为“{name}”的连接；现有：{known}。</translation>
    </message>
    <message>
        <source>There is no connection “{name}”.</source>
        <translation>没有名为“{name}”的连接。</translation>
    </message>
    <message>
        <source>They are made in the window: Connections to servers.</source>
        <translation>连接在窗口中建立：服务器连接。</translation>
    </message>
    <message>
        <source>Say :open DIR, or :server NAME for a server.</source>
        <translation>请输入 :open 文件夹；若要使用服务器，请输入 :server 名称。</translation>
    </message>
</context>
<context>
    <name>export</name>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>You</source>
        <translation>你</translation>
    </message>
    <message>
        <source>Assistant</source>
        <translation>助手</translation>
    </message>
    <message>
        <source>Assistant ({model})</source>
        <translation>助手（{model}）</translation>
    </message>
    <message>
        <source>System</source>
        <translation>系统</translation>
    </message>
    <message>
        <source>Reasoning</source>
        <translation>思考过程</translation>
    </message>
    <message>
        <source>File: {name}</source>
        <translation>文件：{name}</translation>
    </message>
    <message>
        <source>Version {number} of {count}</source>
        <translation>版本 {number}，共 {count} 个</translation>
    </message>
    <message>
        <source>in reply to: {text}</source>
        <translation>回复：{text}</translation>
    </message>
    <message>
        <source>This message was damaged on disk; what could be read is shown.</source>
        <translation>这条消息在磁盘上已损坏；这里显示还能读出的内容。</translation>
    </message>
    <message>
        <source>Stopped.</source>
        <translation>已停止。</translation>
    </message>
    <message>
        <source>Interrupted: the application ended before the answer did.</source>
        <translation>已中断：应用在回答完成前结束了。</translation>
    </message>
    <message>
        <source>Cut off: the longest answer was reached.</source>
        <translation>已截断：达到了最长回答。</translation>
    </message>
    <message>
        <source>Cut off: the context was full.</source>
        <translation>已截断：上下文已满。</translation>
    </message>
    <message>
        <source>Stopped: it repeated itself.</source>
        <translation>已停止：内容不断重复。</translation>
    </message>
    <message>
        <source>Failed.</source>
        <translation>失败。</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} 秒</translation>
    </message>
    <message>
        <source>seed {seed}</source>
        <translation>种子 {seed}</translation>
    </message>
    <message>
        <source>Page {number}</source>
        <translation>第 {number} 页</translation>
    </message>
    <message>
        <source>{count} chats</source>
        <translation>{count} 个对话</translation>
    </message>
</context>
<context>
    <name>importing</name>
    <message>
        <source>Added</source>
        <translation>已添加</translation>
    </message>
    <message>
        <source>Merged</source>
        <translation>已合并</translation>
    </message>
    <message>
        <source>Already here</source>
        <translation>已存在</translation>
    </message>
    <message>
        <source>Not imported</source>
        <translation>未导入</translation>
    </message>
    <message>
        <source>{count} added</source>
        <translation>添加了 {count} 个</translation>
    </message>
    <message>
        <source>{count} merged</source>
        <translation>合并了 {count} 个</translation>
    </message>
    <message>
        <source>{count} already here</source>
        <translation>{count} 个已存在</translation>
    </message>
    <message>
        <source>{count} not imported</source>
        <translation>{count} 个未导入</translation>
    </message>
    <message>
        <source>Nothing was imported</source>
        <translation>没有导入任何内容</translation>
    </message>
</context>
<context>
    <name>inspector</name>
    <message>
        <source>System prompt</source>
        <translation>系统提示词</translation>
    </message>
    <message>
        <source>User</source>
        <translation>用户</translation>
    </message>
    <message>
        <source>Settings of the request</source>
        <translation>请求中的设置</translation>
    </message>
    <message>
        <source>about {count} tokens</source>
        <translation>约 {count} 个词元</translation>
    </message>
    <message>
        <source>about {count} tokens of {budget} that fit beside an answer</source>
        <translation>约 {count} 个词元；除回答外可容纳 {budget} 个</translation>
    </message>
    <message>
        <source>the server has not told how long its context is</source>
        <translation>服务器没有说明其上下文有多长</translation>
    </message>
    <message>
        <source>to {url}</source>
        <translation>发往 {url}</translation>
    </message>
    <message>
        <source>messages {count}</source>
        <translation>消息 {count} 条</translation>
    </message>
    <message>
        <source>The server makes the prompt of these messages: only it knows tokens and ids. The key is not shown.</source>
        <translation>服务器用这些消息拼成提示词：词元和编号只有它知道。密钥不会显示。</translation>
    </message>
    <message>
        <source>What program the server is shows with the first message to it; settings may change then.</source>
        <translation>服务器用的是什么程序，要等第一条消息发出后才知道；届时设置可能有变化。</translation>
    </message>
    <message>
        <source>Made once more of the chat and of what the answer remembers: system prompt and longest answer are those of now.</source>
        <translation>根据对话和回答所记录的内容重新生成：系统提示词和最长回答取当前的值。</translation>
    </message>
    <message>
        <source>Settings this server is not told: {names}.</source>
        <translation>不会告知此服务器的设置：{names}。</translation>
    </message>
    <message>
        <source>File</source>
        <translation>文件</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Reasoning</source>
        <translation>思考过程</translation>
    </message>
    <message>
        <source>Template</source>
        <translation>模板</translation>
    </message>
    <message>
        <source>Generation prompt</source>
        <translation>生成提示</translation>
    </message>
    <message>
        <source>Answer so far</source>
        <translation>目前的回答</translation>
    </message>
    <message>
        <source>Tokens</source>
        <translation>词元</translation>
    </message>
    <message>
        <source>Reasoning, dropped</source>
        <translation>推理，已省略</translation>
    </message>
    <message>
        <source>System prompt, left out</source>
        <translation>系统提示词，已省略</translation>
    </message>
    <message>
        <source>User, left out</source>
        <translation>用户，已省略</translation>
    </message>
    <message>
        <source>Answer, left out</source>
        <translation>回答，已省略</translation>
    </message>
    <message>
        <source>Reading…</source>
        <translation>正在读取…</translation>
    </message>
    <message>
        <source>Shown after this answer…</source>
        <translation>这个回答结束后显示…</translation>
    </message>
    <message>
        <source>Shown when loading has ended…</source>
        <translation>加载结束后显示…</translation>
    </message>
    <message>
        <source>No checkpoint is open.</source>
        <translation>没有打开检查点。</translation>
    </message>
    <message>
        <source>The prompt of this answer was not kept.</source>
        <translation>此回答的提示词未保留。</translation>
    </message>
    <message>
        <source>Another tokenizer made these ids than the one that is open: they are shown without text.</source>
        <translation>这些编号来自另一个分词器，不是现在打开的：只显示编号，没有文字。</translation>
    </message>
    <message>
        <source>Another checkpoint made this prompt; its tokenizer is the same as the open one.</source>
        <translation>这个提示词来自另一个检查点；它的分词器与现在打开的相同。</translation>
    </message>
    <message>
        <source>Chat, settings or template have changed since: they no longer give this prompt.</source>
        <translation>对话、设置或模板之后有变化：它们不再得到这个提示词。</translation>
    </message>
    <message>
        <source>Nothing in this prompt marks every turn: parts of it were told by their text.</source>
        <translation>这个提示词中没有标记每一轮的内容：各部分是按文字辨认的。</translation>
    </message>
    <message>
        <source>the oldest turns go first</source>
        <translation>最早的几轮先省略</translation>
    </message>
    <message>
        <source>the first turn stays, the oldest others go</source>
        <translation>保留第一轮，省略其余最早的</translation>
    </message>
    <message>
        <source>you are asked</source>
        <translation>会询问你</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
    <message>
        <source>{count} tokens of {budget} that fit beside an answer</source>
        <translation>{count} 词元，留出回答后可容纳 {budget}</translation>
    </message>
    <message>
        <source>{count} tokens, more than the {budget} that fit beside an answer</source>
        <translation>{count} 词元，超过留出回答后可容纳的 {budget}</translation>
    </message>
    <message>
        <source>context {limit}</source>
        <translation>上下文 {limit}</translation>
    </message>
    <message>
        <source>The connection that answers this chat is not there any more.</source>
        <translation>回答此对话的连接已不存在。</translation>
    </message>
    <message>
        <source>from the cache {reused} (underlined), to be read {prefilled}</source>
        <translation>来自缓存 {reused}（有下划线），待读取 {prefilled}</translation>
    </message>
    <message>
        <source>from the cache {reused} (underlined), read {prefilled}</source>
        <translation>来自缓存 {reused}（有下划线），读取 {prefilled}</translation>
    </message>
    <message>
        <source>what came from the cache is not known</source>
        <translation>不知道哪些来自缓存</translation>
    </message>
    <message>
        <source>thinking on</source>
        <translation>思考：开</translation>
    </message>
    <message>
        <source>thinking off</source>
        <translation>思考：关</translation>
    </message>
    <message>
        <source>Left out: messages {messages}, tokens {tokens}. The context is full, {policy}.</source>
        <translation>省略：消息 {messages}，词元 {tokens}。上下文已满，{policy}。</translation>
    </message>
    <message>
        <source>Left out: messages {messages}, tokens {tokens}. The chat format of this checkpoint takes no more.</source>
        <translation>省略：消息 {messages}，词元 {tokens}。此检查点的对话格式只能容纳这些。</translation>
    </message>
    <message>
        <source>Reasoning dropped: answers {messages}, tokens {tokens}. The template leaves it out.</source>
        <translation>省略的推理：回答 {messages}，词元 {tokens}。模板不包含它。</translation>
    </message>
    <message>
        <source>Pinned messages that stay: {count}.</source>
        <translation>保留的固定消息：{count}。</translation>
    </message>
    <message>
        <source>Text that reads like a control token, and is none: {count}. It has a dashed line below it.</source>
        <translation>看起来像控制词元但不是的文本：{count}。下方有虚线。</translation>
    </message>
    <message>
        <source>from the cache</source>
        <translation>来自缓存</translation>
    </message>
    <message>
        <source>read for it</source>
        <translation>为它读取</translation>
    </message>
    <message>
        <source>around the system prompt</source>
        <translation>系统提示词的前后</translation>
    </message>
    <message>
        <source>around a message of the user</source>
        <translation>用户消息的前后</translation>
    </message>
    <message>
        <source>around an answer</source>
        <translation>回答的前后</translation>
    </message>
</context>
<context>
    <name>keys</name>
    <message>
        <source>{keys} types a character: add Ctrl or Alt, or use F1 to F12.</source>
        <translation>{keys} 会输入字符：请加上 Ctrl 或 Alt，或使用 F1 到 F12。</translation>
    </message>
    <message>
        <source>{keys} is used for editing and moving, so it stays free.</source>
        <translation>{keys} 用于编辑和移动，因此保留不用。</translation>
    </message>
    <message>
        <source>{keys} is used by “{action}”.</source>
        <translation>{keys} 已用于“{action}”。</translation>
    </message>
</context>
<context>
    <name>library</name>
    <message>
        <source>Not looked into yet</source>
        <translation>尚未查看</translation>
    </message>
    <message>
        <source>Good</source>
        <translation>良好</translation>
    </message>
    <message>
        <source>Opens, with a warning</source>
        <translation>能打开，有警告</translation>
    </message>
    <message>
        <source>Incomplete</source>
        <translation>不完整</translation>
    </message>
    <message>
        <source>Does not open</source>
        <translation>无法打开</translation>
    </message>
    <message>
        <source>Not there</source>
        <translation>不存在</translation>
    </message>
    <message>
        <source>Added by you</source>
        <translation>由你添加</translation>
    </message>
    <message>
        <source>Opened before</source>
        <translation>以前打开过</translation>
    </message>
    <message>
        <source>Found in a folder of yours</source>
        <translation>在你的文件夹中找到</translation>
    </message>
    <message>
        <source>In the cache of Hugging Face</source>
        <translation>在 Hugging Face 缓存中</translation>
    </message>
    <message>
        <source>In the cache of ModelScope</source>
        <translation>在 ModelScope 缓存中</translation>
    </message>
    <message>
        <source>Downloaded here</source>
        <translation>在此下载</translation>
    </message>
    <message>
        <source>Yes, {context}</source>
        <translation>是，{context}</translation>
    </message>
    <message>
        <source>Tight, {context}</source>
        <translation>勉强，{context}</translation>
    </message>
    <message>
        <source>No</source>
        <translation>否</translation>
    </message>
    <message>
        <source>as this program noted when it fetched it</source>
        <translation>本程序获取时的记录</translation>
    </message>
    <message>
        <source>the remote of the git clone</source>
        <translation>git 克隆的远程地址</translation>
    </message>
    <message>
        <source>its place in the hub&apos;s cache</source>
        <translation>在模型站缓存中的位置</translation>
    </message>
    <message>
        <source>named in README.md</source>
        <translation>写在 README.md 中</translation>
    </message>
    <message>
        <source>by the folder&apos;s name</source>
        <translation>根据文件夹名称</translation>
    </message>
    <message>
        <source>named in config.json</source>
        <translation>写在 config.json 中</translation>
    </message>
    <message>
        <source>has the same numbers in config.json</source>
        <translation>config.json 中的数字相同</translation>
    </message>
    <message>
        <source>Name</source>
        <translation>名称</translation>
    </message>
    <message>
        <source>Family</source>
        <translation>系列</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>大小</translation>
    </message>
    <message>
        <source>Precision</source>
        <translation>精度</translation>
    </message>
    <message>
        <source>Health</source>
        <translation>状况</translation>
    </message>
    <message>
        <source>Fits, context</source>
        <translation>适合，上下文</translation>
    </message>
    <message>
        <source>On disk</source>
        <translation>占用磁盘</translation>
    </message>
    <message>
        <source>Last used</source>
        <translation>上次使用</translation>
    </message>
</context>
<context>
    <name>list_change</name>
    <message>
        <source>New chat</source>
        <translation>新对话</translation>
    </message>
    <message>
        <source>Deleted “{title}”</source>
        <translation>已删除“{title}”</translation>
    </message>
    <message>
        <source>Pinned “{title}”</source>
        <translation>已置顶“{title}”</translation>
    </message>
    <message>
        <source>Unpinned “{title}”</source>
        <translation>已取消置顶“{title}”</translation>
    </message>
    <message>
        <source>Archived “{title}”</source>
        <translation>已归档“{title}”</translation>
    </message>
    <message>
        <source>Out of the archive: “{title}”</source>
        <translation>已取消归档：“{title}”</translation>
    </message>
    <message>
        <source>Moved “{title}” to {name}</source>
        <translation>已把“{title}”移到 {name}</translation>
    </message>
    <message>
        <source>Tag “{name}” removed</source>
        <translation>已移除标签“{name}”</translation>
    </message>
    <message>
        <source>Now in “{title}”</source>
        <translation>现在位于“{title}”</translation>
    </message>
    <message>
        <source>Message deleted</source>
        <translation>已删除消息</translation>
    </message>
    <message>
        <source>Deleted {count} chats</source>
        <translation>已删除 {count} 个对话</translation>
    </message>
    <message>
        <source>Pinned {count} chats</source>
        <translation>已置顶 {count} 个对话</translation>
    </message>
    <message>
        <source>Unpinned {count} chats</source>
        <translation>已取消置顶 {count} 个对话</translation>
    </message>
    <message>
        <source>Archived {count} chats</source>
        <translation>已归档 {count} 个对话</translation>
    </message>
    <message>
        <source>Out of the archive: {count} chats</source>
        <translation>已取消归档 {count} 个对话</translation>
    </message>
    <message>
        <source>Moved {count} chats to {name}</source>
        <translation>已把 {count} 个对话移到 {name}</translation>
    </message>
    <message>
        <source>{count} messages deleted</source>
        <translation>已删除 {count} 条消息</translation>
    </message>
    <message>
        <source>Took “{title}” out of its folder</source>
        <translation>已把“{title}”移出文件夹</translation>
    </message>
    <message>
        <source>Took {count} chats out of their folders</source>
        <translation>已把 {count} 个对话移出文件夹</translation>
    </message>
    <message>
        <source>Deleted folder “{name}”. Its chats stay.</source>
        <translation>已删除文件夹“{name}”，其中的对话保留。</translation>
    </message>
</context>
<context>
    <name>provenance</name>
    <message>
        <source>The model ended it</source>
        <translation>模型自行结束</translation>
    </message>
    <message>
        <source>A stop string came</source>
        <translation>遇到停止字符串</translation>
    </message>
    <message>
        <source>Stopped by you</source>
        <translation>由你停止</translation>
    </message>
    <message>
        <source>Longest answer reached</source>
        <translation>已达最长回答</translation>
    </message>
    <message>
        <source>The context was full</source>
        <translation>上下文已满</translation>
    </message>
    <message>
        <source>It repeated itself</source>
        <translation>内容重复</translation>
    </message>
    <message>
        <source>As the model computes</source>
        <translation>与模型计算相同</translation>
    </message>
    <message>
        <source>8-bit</source>
        <translation>8 位</translation>
    </message>
    <message>
        <source>Where it ran</source>
        <translation>运行位置</translation>
    </message>
    <message>
        <source>On this computer</source>
        <translation>在这台电脑上</translation>
    </message>
    <message>
        <source>On the server {host} (“{name}”)</source>
        <translation>在服务器 {host}（“{name}”）上</translation>
    </message>
    <message>
        <source>Address</source>
        <translation>地址</translation>
    </message>
    <message>
        <source>Model as the server names it</source>
        <translation>服务器上的模型名称</translation>
    </message>
    <message>
        <source>Settings the server did not take</source>
        <translation>服务器未采用的设置</translation>
    </message>
    <message>
        <source>Counts of tokens</source>
        <translation>词元计数</translation>
    </message>
    <message>
        <source>Estimated: the server told none</source>
        <translation>估计：服务器没有告知</translation>
    </message>
    <message>
        <source>Checkpoint fingerprint</source>
        <translation>检查点指纹</translation>
    </message>
    <message>
        <source>Chat template (SHA-256)</source>
        <translation>对话模板（SHA-256）</translation>
    </message>
    <message>
        <source>None: a base model</source>
        <translation>无：基础模型</translation>
    </message>
    <message>
        <source>Family</source>
        <translation>系列</translation>
    </message>
    <message>
        <source>Precision</source>
        <translation>精度</translation>
    </message>
    <message>
        <source>KV cache</source>
        <translation>KV 缓存</translation>
    </message>
    <message>
        <source>Device</source>
        <translation>设备</translation>
    </message>
    <message>
        <source>Computed by</source>
        <translation>计算组件</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>思考</translation>
    </message>
    <message>
        <source>On</source>
        <translation>开</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>关</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>种子</translation>
    </message>
    <message>
        <source>Thinking budget</source>
        <translation>思考预算</translation>
    </message>
    <message>
        <source>Stop strings</source>
        <translation>停止字符串</translation>
    </message>
    <message>
        <source>None</source>
        <translation>无</translation>
    </message>
    <message>
        <source>Context limit</source>
        <translation>上下文上限</translation>
    </message>
    <message>
        <source>Messages left out</source>
        <translation>省略的消息</translation>
    </message>
    <message>
        <source>How it ended</source>
        <translation>如何结束</translation>
    </message>
    <message>
        <source>Regenerated from</source>
        <translation>重新生成自</translation>
    </message>
    <message>
        <source>Token {number} of another version</source>
        <translation>另一版本的词元 {number}</translation>
    </message>
    <message>
        <source>Token {number} of another version, with token {id} there</source>
        <translation>另一版本的词元 {number}，改用词元 {id}</translation>
    </message>
    <message>
        <source>Guessed ahead</source>
        <translation>预先猜中</translation>
    </message>
    <message>
        <source>{accepted} of {drafted} tokens came</source>
        <translation>{drafted} 个词元中有 {accepted} 个符合</translation>
    </message>
    <message>
        <source>Draft model</source>
        <translation>草稿模型</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
</context>
<context>
    <name>remedies</name>
    <message>
        <source>Open folder</source>
        <translation>打开文件夹</translation>
    </message>
    <message>
        <source>Connections…</source>
        <translation>连接…</translation>
    </message>
</context>
<context>
    <name>settings</name>
    <message>
        <source>Appearance</source>
        <translation>外观</translation>
    </message>
    <message>
        <source>Generation</source>
        <translation>生成</translation>
    </message>
    <message>
        <source>Context and memory</source>
        <translation>上下文与内存</translation>
    </message>
    <message>
        <source>Start-up</source>
        <translation>启动</translation>
    </message>
    <message>
        <source>Theme</source>
        <translation>主题</translation>
    </message>
    <message>
        <source>Colours of the window.</source>
        <translation>窗口的颜色。</translation>
    </message>
    <message>
        <source>Follow the system</source>
        <translation>跟随系统</translation>
    </message>
    <message>
        <source>Light</source>
        <translation>浅色</translation>
    </message>
    <message>
        <source>Dark</source>
        <translation>深色</translation>
    </message>
    <message>
        <source>High contrast</source>
        <translation>高对比度</translation>
    </message>
    <message>
        <source>Stronger colours and lines.</source>
        <translation>更强的颜色和线条。</translation>
    </message>
    <message>
        <source>On</source>
        <translation>开</translation>
    </message>
    <message>
        <source>Off</source>
        <translation>关</translation>
    </message>
    <message>
        <source>Size</source>
        <translation>大小</translation>
    </message>
    <message>
        <source>Size of text and controls in percent.</source>
        <translation>文字和控件的大小（百分比）。</translation>
    </message>
    <message>
        <source>Font</source>
        <translation>字体</translation>
    </message>
    <message>
        <source>Font of the interface and of messages.</source>
        <translation>界面和消息的字体。</translation>
    </message>
    <message>
        <source>Density</source>
        <translation>密度</translation>
    </message>
    <message>
        <source>Space between lines, messages and rows.</source>
        <translation>行、消息和列表项之间的间距。</translation>
    </message>
    <message>
        <source>Comfortable</source>
        <translation>舒适</translation>
    </message>
    <message>
        <source>Compact</source>
        <translation>紧凑</translation>
    </message>
    <message>
        <source>Text width</source>
        <translation>文本宽度</translation>
    </message>
    <message>
        <source>Narrow</source>
        <translation>窄</translation>
    </message>
    <message>
        <source>Normal</source>
        <translation>标准</translation>
    </message>
    <message>
        <source>Wide</source>
        <translation>宽</translation>
    </message>
    <message>
        <source>As wide as the window</source>
        <translation>与窗口同宽</translation>
    </message>
    <message>
        <source>Reduced motion</source>
        <translation>减少动效</translation>
    </message>
    <message>
        <source>Nothing blinks, fades or slides.</source>
        <translation>不闪烁、不淡入淡出、不滑动。</translation>
    </message>
    <message>
        <source>Notifications</source>
        <translation>通知</translation>
    </message>
    <message>
        <source>Tell of a long answer that ends while the window is not in front.</source>
        <translation>较长的回答完成而窗口不在前台时发出通知。</translation>
    </message>
    <message>
        <source>Language</source>
        <translation>语言</translation>
    </message>
    <message>
        <source>Language of the interface. Takes effect at the next start.</source>
        <translation>界面语言。下次启动时生效。</translation>
    </message>
    <message>
        <source>Titles by the model</source>
        <translation>由模型起标题</translation>
    </message>
    <message>
        <source>Let the model name a chat; it computes a moment after the first answer.</source>
        <translation>让模型为对话起标题；第一个回答之后会计算片刻。</translation>
    </message>
    <message>
        <source>Fold the thinking</source>
        <translation>折叠思考过程</translation>
    </message>
    <message>
        <source>Fold what was thought as soon as the answer begins; a click unfolds it.</source>
        <translation>回答一开始就折叠思考过程；点击可展开。</translation>
    </message>
    <message>
        <source>Attach long pasted text</source>
        <translation>将粘贴的长文本作为附件</translation>
    </message>
    <message>
        <source>Characters from which pasted text becomes a file; 0 for never.</source>
        <translation>粘贴文本达到多少字符时变为文件；0 表示从不。</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>思考</translation>
    </message>
    <message>
        <source>Let models that can think do so before they answer.</source>
        <translation>让能思考的模型先思考再回答。</translation>
    </message>
    <message>
        <source>System prompt</source>
        <translation>系统提示词</translation>
    </message>
    <message>
        <source>Widest that the lines of a chat get.</source>
        <translation>对话中文字行的最大宽度。</translation>
    </message>
    <message>
        <source>Downloads</source>
        <translation>下载</translation>
    </message>
    <message>
        <source>Check spelling</source>
        <translation>拼写检查</translation>
    </message>
    <message>
        <source>Underline misspelt words of a message; code and names are passed over.</source>
        <translation>给消息中拼错的词加下划线；代码和名称除外。</translation>
    </message>
    <message>
        <source>Language of spelling</source>
        <translation>拼写检查的语言</translation>
    </message>
    <message>
        <source>Text that is plainly in another language is left alone.</source>
        <translation>明显是其他语言的文本不检查。</translation>
    </message>
    <message>
        <source>Instructions put before every chat.</source>
        <translation>放在每个对话之前的指示。</translation>
    </message>
    <message>
        <source>Longest answer</source>
        <translation>最长回答</translation>
    </message>
    <message>
        <source>Tokens after which an answer is cut off.</source>
        <translation>回答达到此词元数后截断。</translation>
    </message>
    <message>
        <source>Temperature</source>
        <translation>温度</translation>
    </message>
    <message>
        <source>Higher is more varied; 0 always takes the likeliest token.</source>
        <translation>越高越多样；0 总是选择概率最高的词元。</translation>
    </message>
    <message>
        <source>Top-k</source>
        <translation>Top-k</translation>
    </message>
    <message>
        <source>Sample from the k likeliest tokens; 0 switches it off.</source>
        <translation>从概率最高的 k 个词元中采样；0 为关闭。</translation>
    </message>
    <message>
        <source>Top-p</source>
        <translation>Top-p</translation>
    </message>
    <message>
        <source>Sample from the smallest set with this probability.</source>
        <translation>从累计概率达到此值的最小集合中采样。</translation>
    </message>
    <message>
        <source>Min-p</source>
        <translation>Min-p</translation>
    </message>
    <message>
        <source>Drop tokens below this share of the likeliest one.</source>
        <translation>舍弃概率低于最高者此比例的词元。</translation>
    </message>
    <message>
        <source>Repetition penalty</source>
        <translation>重复惩罚</translation>
    </message>
    <message>
        <source>Above 1 makes tokens already in the prompt less likely.</source>
        <translation>大于 1 时，提示词中已有的词元更不易出现。</translation>
    </message>
    <message>
        <source>Presence penalty</source>
        <translation>存在惩罚</translation>
    </message>
    <message>
        <source>Above 0 makes tokens already in the answer less likely.</source>
        <translation>大于 0 时，回答中已有的词元更不易出现。</translation>
    </message>
    <message>
        <source>Seed</source>
        <translation>种子</translation>
    </message>
    <message>
        <source>The same seed gives the same answer; empty for a new one.</source>
        <translation>相同的种子得到相同的回答；留空则每次不同。</translation>
    </message>
    <message>
        <source>Stop strings</source>
        <translation>停止字符串</translation>
    </message>
    <message>
        <source>An answer ends before any of these, one to a line.</source>
        <translation>回答会在这些字符串之前结束，每行一个。</translation>
    </message>
    <message>
        <source>Thinking budget</source>
        <translation>思考预算</translation>
    </message>
    <message>
        <source>Tokens of thought after which the model has to answer.</source>
        <translation>思考达到此词元数后，模型必须作答。</translation>
    </message>
    <message>
        <source>Loop guard</source>
        <translation>循环保护</translation>
    </message>
    <message>
        <source>Stop an answer that repeats itself word for word.</source>
        <translation>停止逐字重复的回答。</translation>
    </message>
    <message>
        <source>Alternatives per token</source>
        <translation>每个词元的候选数</translation>
    </message>
    <message>
        <source>Keep how likely each token was, with so many others; 0 keeps nothing.</source>
        <translation>保留每个词元及这么多候选的概率；0 为不保留。</translation>
    </message>
    <message>
        <source>Guess ahead</source>
        <translation>预先猜测</translation>
    </message>
    <message>
        <source>Verify several guessed tokens in one step, as when an answer repeats its prompt. Not where a seed is set.</source>
        <translation>一步验证多个猜测的词元，例如回答重复提示词时。设置了种子时不使用。</translation>
    </message>
    <message>
        <source>Where it pays</source>
        <translation>划算时</translation>
    </message>
    <message>
        <source>When the context is full</source>
        <translation>上下文已满时</translation>
    </message>
    <message>
        <source>What the model is no longer shown. Each chat can differ.</source>
        <translation>不再展示给模型的内容。各对话可以不同。</translation>
    </message>
    <message>
        <source>Drop the oldest turns</source>
        <translation>省略最早的轮次</translation>
    </message>
    <message>
        <source>Keep the first turn, drop the middle</source>
        <translation>保留首轮，省略中间</translation>
    </message>
    <message>
        <source>Stop and ask</source>
        <translation>停下并询问</translation>
    </message>
    <message>
        <source>Chats kept in memory</source>
        <translation>保留在内存中的对话</translation>
    </message>
    <message>
        <source>GiB for the KV caches of chats that were left; empty: what is free.</source>
        <translation>已离开的对话的 KV 缓存可用的 GiB；留空则用空闲内存。</translation>
    </message>
    <message>
        <source>Chats kept on disk</source>
        <translation>保留在磁盘上的对话</translation>
    </message>
    <message>
        <source>GiB for KV caches, so that old chats answer at once; 0 keeps none.</source>
        <translation>KV 缓存文件可用的 GiB，使旧对话能立即回答；0 为不保留。</translation>
    </message>
    <message>
        <source>Hub</source>
        <translation>模型站</translation>
    </message>
    <message>
        <source>Where checkpoints are looked for first.</source>
        <translation>首先在哪里查找检查点。</translation>
    </message>
    <message>
        <source>Address of Hugging Face</source>
        <translation>Hugging Face 地址</translation>
    </message>
    <message>
        <source>That of a mirror; empty: as HF_ENDPOINT says, else its own.</source>
        <translation>镜像的地址；留空：按 HF_ENDPOINT，否则用官方地址。</translation>
    </message>
    <message>
        <source>Address of ModelScope</source>
        <translation>ModelScope 地址</translation>
    </message>
    <message>
        <source>That of another server; empty: as MODELSCOPE_DOMAIN says, else its own.</source>
        <translation>其他服务器的地址；留空：按 MODELSCOPE_DOMAIN，否则用官方地址。</translation>
    </message>
    <message>
        <source>Folder of models</source>
        <translation>模型文件夹</translation>
    </message>
    <message>
        <source>Where downloads go; empty: a folder beside the chats.</source>
        <translation>下载的位置；留空：对话旁边的文件夹。</translation>
    </message>
    <message>
        <source>Downloads at once</source>
        <translation>同时下载数</translation>
    </message>
    <message>
        <source>Others wait for their turn.</source>
        <translation>其余的等待。</translation>
    </message>
    <message>
        <source>Connections</source>
        <translation>连接</translation>
    </message>
    <message>
        <source>Connections that one download uses side by side.</source>
        <translation>一个下载同时使用的连接数。</translation>
    </message>
    <message>
        <source>Limit</source>
        <translation>限速</translation>
    </message>
    <message>
        <source>MiB a second that downloads take together; 0 for no limit.</source>
        <translation>所有下载合计每秒 MiB；0 表示不限。</translation>
    </message>
    <message>
        <source>Proxy</source>
        <translation>代理</translation>
    </message>
    <message>
        <source>As http://host:port or socks5h://host:port; empty: as the environment says (HTTPS_PROXY). Servers that answer chats are reached by it, too.</source>
        <translation>形如 http://主机:端口 或 socks5h://主机:端口；留空则遵循环境变量（HTTPS_PROXY）。回答对话的服务器也经由它连接。</translation>
    </message>
    <message>
        <source>Go on with downloads at start</source>
        <translation>启动时继续下载</translation>
    </message>
    <message>
        <source>Otherwise what was under way stays paused until you resume it.</source>
        <translation>否则未完成的下载保持暂停，直到你继续。</translation>
    </message>
    <message>
        <source>Address of releases</source>
        <translation>发布地址</translation>
    </message>
    <message>
        <source>Asked for a newer Qwen Desktop when you press the button in About, and never else. Empty: nobody is asked.</source>
        <translation>仅当你在“关于”中按下按钮时，才会向此地址询问有没有更新的 Qwen Desktop。留空则不询问任何地方。</translation>
    </message>
    <message>
        <source>Code compiled for the processor</source>
        <translation>为处理器编译的代码</translation>
    </message>
    <message>
        <source>Answers on a CPU come several times quicker. It is made once, in the background, and used from the next load or answer on.</source>
        <translation>在 CPU 上回答会快几倍。只在后台生成一次，从下一次加载或回答起使用。</translation>
    </message>
    <message>
        <source>Draft model</source>
        <translation>草稿模型</translation>
    </message>
    <message>
        <source>Folder of a smaller model of the same series that guesses ahead; opened with the next checkpoint. Empty: none.</source>
        <translation>同系列较小模型的文件夹，用来预先猜测；与下一个检查点一起打开。留空：不用。</translation>
    </message>
    <message>
        <source>Reopen the last checkpoint</source>
        <translation>重新打开上次的检查点</translation>
    </message>
    <message>
        <source>At start, load the checkpoint that was open last.</source>
        <translation>启动时加载上次打开的检查点。</translation>
    </message>
</context>
<context>
    <name>statistics</name>
    <message>
        <source>Prompt</source>
        <translation>提示词</translation>
    </message>
    <message>
        <source>Reused from the cache</source>
        <translation>从缓存复用</translation>
    </message>
    <message>
        <source>Read anew</source>
        <translation>新读取</translation>
    </message>
    <message>
        <source>Thinking</source>
        <translation>思考</translation>
    </message>
    <message>
        <source>Time spent thinking</source>
        <translation>思考用时</translation>
    </message>
    <message>
        <source>Answer</source>
        <translation>回答</translation>
    </message>
    <message>
        <source>Time to first token</source>
        <translation>首个词元用时</translation>
    </message>
    <message>
        <source>Reading speed</source>
        <translation>读取速度</translation>
    </message>
    <message>
        <source>Writing speed</source>
        <translation>生成速度</translation>
    </message>
    <message>
        <source>Peak memory</source>
        <translation>内存峰值</translation>
    </message>
    <message>
        <source>{count} token</source>
        <translation>{count} 个词元</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} 秒</translation>
    </message>
    <message>
        <source>{speed} tok/s</source>
        <translation>{speed} 词元/秒</translation>
    </message>
</context>
<context>
    <name>study</name>
    <message>
        <source>Qwen Desktop</source>
        <translation>Qwen Desktop</translation>
    </message>
    <message>
        <source>All read anew each turn</source>
        <translation>每轮全部重读</translation>
    </message>
    <message>
        <source>Eager attention, all logits</source>
        <translation>eager 注意力，全部 logits</translation>
    </message>
    <message>
        <source>The chat grows; what was read is kept, what is new is read in pieces.</source>
        <translation>对话增长；读过的保留，新内容分段读取。</translation>
    </message>
    <message>
        <source>Every turn reads the whole prompt in one piece, as the original script did.</source>
        <translation>每一轮都一次读取整个提示词，与原脚本相同。</translation>
    </message>
    <message>
        <source>As transformers of old: no cache, a table of all tokens by all tokens.</source>
        <translation>如同旧版 transformers：没有缓存，计算所有词元对所有词元的表。</translation>
    </message>
    <message>
        <source>{way}: {tokens} tokens would not fit ({need} needed, {free} free)</source>
        <translation>{way}：{tokens} 词元放不下（需要 {need}，空闲 {free}）</translation>
    </message>
    <message>
        <source>{way}: {tokens} tokens are more than the model&apos;s context</source>
        <translation>{way}：{tokens} 词元超过模型的上下文</translation>
    </message>
    <message>
        <source>{way}: ran out of memory at {tokens} tokens</source>
        <translation>{way}：在 {tokens} 词元处内存不足</translation>
    </message>
    <message>
        <source>{way}: this architecture cannot do it</source>
        <translation>{way}：此架构做不到</translation>
    </message>
    <message>
        <source>Driver {version}</source>
        <translation>驱动程序 {version}</translation>
    </message>
    <message>
        <source>{cpu}, {cores} cores, {ram}</source>
        <translation>{cpu}，{cores} 核，{ram}</translation>
    </message>
    <message>
        <source>{way}, peak</source>
        <translation>{way}，峰值</translation>
    </message>
    <message>
        <source>{way}, after the turn</source>
        <translation>{way}，一轮之后</translation>
    </message>
    <message>
        <source>{way}, planned</source>
        <translation>{way}，计划值</translation>
    </message>
    <message>
        <source>All memory</source>
        <translation>全部内存</translation>
    </message>
    <message>
        <source>Memory against context</source>
        <translation>内存与上下文</translation>
    </message>
    <message>
        <source>Memory</source>
        <translation>内存</translation>
    </message>
    <message>
        <source>Time to the first token</source>
        <translation>首个词元的时间</translation>
    </message>
    <message>
        <source>Speed of the answer</source>
        <translation>回答的速度</translation>
    </message>
    <message>
        <source>Characters</source>
        <translation>字符</translation>
    </message>
    <message>
        <source>Tokens of the prompt</source>
        <translation>提示词的词元</translation>
    </message>
    <message>
        <source>Nothing has been measured yet.</source>
        <translation>还没有测量过。</translation>
    </message>
</context>
<context>
    <name>texts</name>
    <message>
        <source>Yesterday</source>
        <translation>昨天</translation>
    </message>
    <message>
        <source>{seconds} s</source>
        <translation>{seconds} 秒</translation>
    </message>
    <message>
        <source>{minutes} min {seconds} s</source>
        <translation>{minutes} 分 {seconds} 秒</translation>
    </message>
    <message>
        <source>as stored</source>
        <translation>按原样</translation>
    </message>
    <message>
        <source>Auto ({precision})</source>
        <translation>自动（{precision}）</translation>
    </message>
    <message>
        <source>layer {number}</source>
        <translation>第 {number} 层</translation>
    </message>
    <message>
        <source>layers {first}–{last}</source>
        <translation>第 {first}–{last} 层</translation>
    </message>
    <message>
        <source>As the model</source>
        <translation>与模型相同</translation>
    </message>
    <message>
        <source>{count} tokens</source>
        <translation>{count} 个词元</translation>
    </message>
    <message>
        <source>YaRN ×{factor}</source>
        <translation>YaRN ×{factor}</translation>
    </message>
    <message>
        <source>Auto</source>
        <translation>自动</translation>
    </message>
    <message>
        <source>8-bit</source>
        <translation>8 位</translation>
    </message>
    <message>
        <source>4-bit</source>
        <translation>4 位</translation>
    </message>
</context>
</TS>
