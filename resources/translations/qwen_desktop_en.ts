<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="en" sourcelanguage="en">
<context>
    <name>Composer</name>
    <message numerus="yes">
        <source>The model no longer sees %Ln messages of this chat.</source>
        <translation type="unfinished">
            <numerusform></numerusform>
            <numerusform></numerusform>
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
    <name>ReasoningView</name>
    <message numerus="yes">
        <source>Thought for %Ln tokens</source>
        <translation>
            <numerusform>Thought for %Ln token</numerusform>
            <numerusform>Thought for %Ln tokens</numerusform>
        </translation>
    </message>
</context>
</TS>
