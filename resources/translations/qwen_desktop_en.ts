<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="en">
<context>
    <name>AnswerTokens</name>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln token</numerusform>
            <numerusform>%Ln tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln with probabilities</source>
        <translation>
            <numerusform>%Ln with probability</numerusform>
            <numerusform>%Ln with probabilities</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>AssemblePage</name>
    <message numerus="yes">
        <source>%Ln messages</source>
        <translation>
            <numerusform>%Ln message</numerusform>
            <numerusform>%Ln messages</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Attach</name>
    <message numerus="yes">
        <source>A message has at most %Ln files.</source>
        <translation>
            <numerusform>A message has at most %Ln file.</numerusform>
            <numerusform>A message has at most %Ln files.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Attachments</name>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln token</numerusform>
            <numerusform>%Ln tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln characters</source>
        <translation>
            <numerusform>%Ln character</numerusform>
            <numerusform>%Ln characters</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Composer</name>
    <message numerus="yes">
        <source>The model no longer sees %Ln messages of this chat.</source>
        <translation>
            <numerusform>The model no longer sees %Ln message of this chat.</numerusform>
            <numerusform>The model no longer sees %Ln messages of this chat.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Connecting</name>
    <message numerus="yes">
        <source>This sends the whole chat, %Ln messages, to {host}.</source>
        <translation>
            <numerusform>This sends the whole chat, %Ln message, to {host}.</numerusform>
            <numerusform>This sends the whole chat, %Ln messages, to {host}.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ConnectionsDialog</name>
    <message numerus="yes">
        <source>%Ln models: {names}</source>
        <translation>
            <numerusform>%Ln model: {names}</numerusform>
            <numerusform>%Ln models: {names}</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>FileTextDialog</name>
    <message numerus="yes">
        <source>the first %Ln characters are shown; all are copied</source>
        <translation>
            <numerusform>the first %Ln character is shown; all are copied</numerusform>
            <numerusform>the first %Ln characters are shown; all are copied</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>Footer</name>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln token</numerusform>
            <numerusform>%Ln tokens</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ForecastView</name>
    <message numerus="yes">
        <source>≈ %Ln more turns</source>
        <translation>
            <numerusform>≈ %Ln more turn</numerusform>
            <numerusform>≈ %Ln more turns</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>GapCard</name>
    <message numerus="yes">
        <source>The model no longer sees the %Ln messages above.</source>
        <translation>
            <numerusform>The model no longer sees the %Ln message above.</numerusform>
            <numerusform>The model no longer sees the %Ln messages above.</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>The model no longer sees %Ln of the messages above.</source>
        <translation>
            <numerusform>The model no longer sees %Ln of the messages above.</numerusform>
            <numerusform>The model no longer sees %Ln of the messages above.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>JumpButton</name>
    <message numerus="yes">
        <source>%Ln new messages</source>
        <translation>
            <numerusform>%Ln new message</numerusform>
            <numerusform>%Ln new messages</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>PrefillPage</name>
    <message numerus="yes">
        <source>%Ln read</source>
        <translation>
            <numerusform>%Ln read</numerusform>
            <numerusform>%Ln read</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>at most {count} tokens: %Ln pieces</source>
        <translation>
            <numerusform>at most {count} tokens: %Ln piece</numerusform>
            <numerusform>at most {count} tokens: %Ln pieces</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>PromptLine</name>
    <message numerus="yes">
        <source>%Ln messages will be left out</source>
        <translation>
            <numerusform>%Ln message will be left out</numerusform>
            <numerusform>%Ln messages will be left out</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>PromptsDialog</name>
    <message numerus="yes">
        <source>%Ln prompts came in.</source>
        <translation>
            <numerusform>%Ln prompt came in.</numerusform>
            <numerusform>%Ln prompts came in.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>ReasoningView</name>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln token</numerusform>
            <numerusform>%Ln tokens</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>Thought for %Ln tokens</source>
        <translation>
            <numerusform>Thought for %Ln token</numerusform>
            <numerusform>Thought for %Ln tokens</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>StudyDialog</name>
    <message numerus="yes">
        <source>Stopped. %Ln prompts are left.</source>
        <translation>
            <numerusform>Stopped. %Ln prompt is left.</numerusform>
            <numerusform>Stopped. %Ln prompts are left.</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>UserCard</name>
    <message numerus="yes">
        <source>found, %1 of %Ln</source>
        <translation>
            <numerusform>found, %1 of %Ln</numerusform>
            <numerusform>found, %1 of %Ln</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>found %Ln times</source>
        <translation>
            <numerusform>found %Ln time</numerusform>
            <numerusform>found %Ln times</numerusform>
        </translation>
    </message>
    <message numerus="yes">
        <source>%Ln characters</source>
        <translation>
            <numerusform>%Ln character</numerusform>
            <numerusform>%Ln characters</numerusform>
        </translation>
    </message>
</context>
<context>
    <name>_Counts</name>
    <message numerus="yes">
        <source>%Ln tokens</source>
        <translation>
            <numerusform>%Ln token</numerusform>
            <numerusform>%Ln tokens</numerusform>
        </translation>
    </message>
</context>
</TS>
